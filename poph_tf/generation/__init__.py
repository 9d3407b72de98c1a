"""What a piece is drawn by: random numbers, styles, plans, wishes, drafts."""
