"""Which of two answers is better? A judge reads both, in both orders (the paper's Figure 5)."""

from .answers import PACKAGED, ROLE_ROOM, answer, answers_of, load_answers, questions
from .judging import PACKAGED_JUDGE, PACKAGED_STAMP, PARAMS, compare, judge, keys, packaged_pairs, parse, plan, read
from .live import lean
from .pairs import PROMPT, Pair, games, hide, leak, pairs, prompt
from .verdicts import Comparison
