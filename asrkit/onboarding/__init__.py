"""Before the first run: check the environment, estimate costs, write a recipe, report on a corpus."""
