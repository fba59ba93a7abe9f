"""What is stored: tables, transactions, folders, and time in which nobody could take part."""
