"""What every daemon of ours does alike: run in the foreground, tell its state, leave cleanly."""
