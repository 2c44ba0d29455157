"""Reserved symbols of units.txt, words.txt and ARPA files, and their ids."""

BLANK_SYMBOL, BLANK = "<blk>", 0  # CTC's blank: the first line of units.txt
EPSILON, NO_WORD = "<eps>", 0  # the first line of words.txt: arcs without a word have it
UNKNOWN, START, END = "<unk>", "<s>", "</s>"  # of ARPA files; words.txt has the last two too

# No word of a text may be one of these, in any letter case; kenlm reads <UNK> as <unk>
RESERVED_WORDS = frozenset([UNKNOWN, "<UNK>", START, END, EPSILON])
