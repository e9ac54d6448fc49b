"""From what people ask to token ids."""
