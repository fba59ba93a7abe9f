"""What happens in a study: its state machine, and what people, groups and rounds may do."""
