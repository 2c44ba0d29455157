"""The acoustic model: front end, encoder blocks, output layer, attention decoder."""
