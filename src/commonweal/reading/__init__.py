"""What comes in, and how to say what is wrong with it: the near name, the line of a file."""
