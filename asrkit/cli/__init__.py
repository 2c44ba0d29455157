"""The console command: one thin module a verb."""
