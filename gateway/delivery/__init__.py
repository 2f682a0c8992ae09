"""What the mailbox holds for the sessions of this gateway, and how it reaches them whole and in order."""
