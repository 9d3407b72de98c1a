"""What is drawn besides chance: seeds, styles, plans, wishes, drafts to choose from."""
