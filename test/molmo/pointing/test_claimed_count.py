"""What a text claims as a total, against what a reader of English would say; written down by hand."""

import pytest

from molmo_ros.molmo.pointing.claimed_count import TAG, claimed_count, trained_count

# What was asked about stands in the middle; "<" stands for a tag.
CLAIMED = [
    ("12", "", 12),
    ("12.", "", 12),
    ("Twelve.", "", 12),
    ("twelve", "", 12),
    ("There are 12.", "", 12),
    ("There are twelve cups in the image.", "cups", 12),
    ("a total of 1,250", "", 1250),
    ("Counting the < shows a total of 1,250.", "", 1250),
    ("There are 3 <.", "", 3),
    ("There are 1,250 <.", "", 1250),
    ("There is one.", "", 1),
    ("There is only one cup.", "cup", 1),
    ("ninety-nine", "", 99),
    ("One hundred and five.", "", 105),
    ("There are two thousand three hundred people.", "people", 2300),
    ("A dozen.", "", 12),
    ("There are a dozen eggs.", "eggs", 12),
    ("two dozen", "", 24),
    ("The number of cups is 12.", "cups", 12),
    ("The total number of \"cups\" is: 12.", "cups", 12),
    ("Counting shows the total number is: 6.", "", 6),
    ("I can see 7 mugs.", "mugs", 7),
    ("I count 7.", "", 7),
    ("The image shows 5 people.", "people", 5),
    ("12 cups", "cups", 12),
    ("12 cups are visible.", "cups", 12),
    ("There are 12 cups on the 2 tables.", "", 12),
    ("There are 12 cups on 2 tables.", "cups", 12),
    ("There are 2 cups on the left and 3 on the right, for a total of 5.", "cups", 5),
    ("There are 5 cups: 2 red, 3 blue", "cups", 5),
    ("There are 2 cups: one red and one blue.", "cups", 2),
    ("There are 12 cups, 5 of which are red.", "cups", 12),
    ("There are 3 rows of 4 cups each.", "rows", 3),
    ("None.", "", 0),
    ("0", "", 0),
    ("Zero.", "", 0),
    ("There are no cups in the image.", "cups", 0),
    ("There aren't any cups.", "cups", 0),
    ("**12**", "", 12),
    ("Answer: 12", "", 12),
    ("The answer is 12.", "", 12),
    ("Total: 12", "", 12),
    ("There are exactly 12 cups.", "cups", 12),
    ("There are 12 of them.", "", 12),
    ("There are 4 feet.", "feet", 4),
    ("1. red cup\n2. blue cup\nThere are 2 cups.", "cups", 2),
    ("There are 12 cups in the image, of which the largest is 10 cm tall.", "cups", 12),
    ("There were 12 in 1999.", "", 12),
    ("Three.", "", 3),
    ("There are three people in the image: two men and one woman.", "people", 3),
    ("In the image, there are 7 apples.", "apples", 7),
    ("That makes 12 in total.", "", 12),
    ("There appear to be 4 cups.", "cups", 4),
    ("There are none.", "", 0),
    ("There is a single cup.", "cup", 1),
    ("twenty one", "", 21),
    ("There's 1 cup", "cup", 1),
    ("The cup is 12 cm tall and there are 3 cups.", "cups", 3),
    ("There are 1,250,000 grains", "", 1250000),
    ("Since 1999 there are 3.", "", 3),
    ("3 hundred", "", 300),
]  # fmt: skip
# Bounds, estimates, ranges, years, ordinals, measures, ratios, names, parts, and totals that the text leaves open.
NOT_CLAIMED = [
    ("There are 2 cups on the left and 2 on the right.", "cups"),
    ("There are 3 cups on the left, 2 in the middle and 1 on the right.", "cups"),
    ("2 on the left, 2 on the right", "cups"),
    ("There are 2. There are 2 more.", "cups"),
    ("There are 2 tables with 2 cups.", ""),
    ("Two cups and two mugs.", ""),
    ("There are dozens.", ""),
    ("There are hundreds of birds.", "birds"),
    ("There are about 12.", ""),
    ("There are at least 12 cups.", "cups"),
    ("About a dozen.", ""),
    ("10-12", ""),
    ("There are 10-12 cups.", "cups"),
    ("There are 10 to 12 cups.", "cups"),
    ("between 10 and 12", ""),
    ("There are between ten and twelve", ""),
    ("There are 3 or 4 cups", "cups"),
    ("The number on the shirt is 12.", ""),
    ("It's a shirt that has 12 on it.", ""),
    ("3 cups are red.", "cups"),
    ("12 o'clock", ""),
    ("12 cm", ""),
    ("3.5", ""),
    ("50%", ""),
    ("12:30", ""),
    ("2nd", ""),
    ("second", ""),
    ("In 2024 there was a party.", ""),
    ("2024 was a good year", ""),
    ("There are 3 shelves with 12 cups.", "cups"),
    ("There are 3 shelves with 12 cups.", ""),
    ("There are 2 cups on the left and 3 on the right.", "cups"),
    ("5 of the 12 cups are red", "cups"),
    ("There are 3 rows of 4 cups.", "cups"),
    ("There are no cups on the left.", "cups"),
    ("No.", ""),
    ("There are many cups.", "cups"),
    ("$12", ""),
    ("#12", ""),
    ("Number 12", ""),
    ("page 12", ""),
    ("3/4", ""),
    ("16:9", ""),
    ("1.250", ""),
    ("1 250", ""),
    ("There are 1 250 cups", ""),
    ("a total of 3.5", ""),
    ("shows a total of 3.5 m", ""),
    ("4 feet", ""),
    ("It is 4 feet tall", ""),
    ("1. red cup\n2. blue cup\n3. green cup", "cups"),
    ("There are 2 cups in rows of 4", ""),
    ("1, 2, 3", ""),
    ("There are not 12 cups", "cups"),
    ("12+", ""),
    ("more than 12", ""),
    ("12 or more", ""),
    ("12 or so cups", "cups"),
    ("There are 5 red cups and 7 blue cups", "cups"),
    ("There are none of these on the left, two are on the right.", ""),
    ("2 x 4 bricks", ""),
    ("-5", ""),
    ("v2", ""),
    ("(2.5, 3.7)", ""),
    ("Twelve, or maybe thirteen.", ""),
    ("There are 12 cups (not 13).", "cups"),
    ("I see one cup on the table and two on the shelf", "cups"),
    ("There is a cup.", "cup"),
    ("There are over 100 people", "people"),
    ("Counting the < shows a total of 3 and counting the < shows a total of 4.", ""),
    ("There are 12 months in a year.", ""),
    ("The bus on route 12 has 3 doors", "doors"),
    ("The year is 1984.", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "label", "count"), CLAIMED)
def test_a_total(text, label, count):
    assert claimed_count(text.replace("<", TAG), label) == count
    assert claimed_count(f"  {text}\n".replace("<", TAG), label) == count


@pytest.mark.parametrize(("text", "label"), NOT_CLAIMED)
def test_no_total(text, label):
    assert claimed_count(text.replace("<", TAG), label) is None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Counting the < shows a total of 12.", 12),
        ("Counting the < shows a total of 1,250.", 1250),
        ("Counting the < shows a total of 1,250,000.", 1_250_000),
        ("There are 3 <.", 3),
        ("There are 1,250 <.", 1250),
        ("Counting the < shows a total of 3. Counting the < shows a total of 3.", 3),
        ("Counting the < shows a total of 3. Counting the < shows a total of 4.", None),
        ("shows a total of 3.5 m", None),
        ("shows a total of 12%", None),
        ("shows a total of 1,25", None),
        ("There are 12.", None),
        ("12", None),
    ],
)
def test_the_sentences_that_go_with_points(text, count):
    assert trained_count(text.replace("<", TAG)) == count
    if count is not None:
        assert claimed_count(text.replace("<", TAG)) == count


@pytest.mark.parametrize(
    "seed", ["1 ", "there are ", "1, ", "a hundred and ", "( ", "no ", "1.", "\n1. x", "one of "]
)
def test_long_text_ends(seed):
    """Quadratic or worse work would show as a hanging test."""
    for length in (3_999, 400_000):
        assert claimed_count((seed * length)[:length]) is None
