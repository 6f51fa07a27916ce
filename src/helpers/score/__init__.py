"""Score a model on the benchmarks (paper, section 4.2): ask in two stages, grade, tabulate."""

from ..arms import ARMS, SCORED
from ..chat import endpoint_chat, local_chat
from . import pace
from .asking import answer, arm_of, generations, plan, protocol, questions, requests
from .grading import ANSWERS, CUT, SCORES, grade, paper_row, read_csv, score, shown, table
