"""What is to be asked: requests that wait, and continuous queries that are due."""
