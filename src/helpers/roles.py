"""Role prompts: ask for one, take it apart, render it in any of the paper's designs, strip it again.

The one idea: a role prompt is two facts, a *question description* and a *role description*.
Keep the facts and every wording of Table 3 can be rendered without asking an annotator again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .sentences import CLOSERS, CLOSING, OPENERS, balanced, first_sentence, without_marks

SYSTEM = "Below is a chat between a user and an AI assistant."

# The annotation prompt of the paper's Figure 2 (upper half), one-shot.
ANNOTATION_PROMPT = """\
Next, I will provide you with a question, and you should select a role who is suitable to answer this question. \
The selection of roles should adhere to the following principles:
1. Try to choose a role that is skilled at answering the given question.
2. Try to choose specific professions.
3. Try to choose the roles that match the difficulty level of the problem.
No need to actually answer the question.

Please format your response as follows:
A: This question is a [] problem involving []. To better solve it, I will act as a [] who [].

Here is an example:
Q: {example_question}
A: This question is a mathematical problem involving basic arithmetic and logic. To better solve it, I will act as \
an excellent math teacher who can always provide clear explanations for math-related problems.

Here is the question I need you to deal with:
Q: {question}"""

# The paper shows only the answer of its example; the question is ours.
EXAMPLE_QUESTION = "A box holds 12 pencils. How many pencils are in 7 boxes, and how many remain after giving away 30?"

# Table 3. {q} ends with a full stop, {r} does not.
DESIGNS = {
    0: "",
    1: "{q}",
    2: "{q} As a result, I will solve it like {r}.",
    3: "{q} Therefore, I will answer it as {r}.",
    4: "{q} To solve this problem, I will act as {r}.",
    5: "{q} So I will become {r}.",
    6: "{q} Fortunately, I am {r}.",
    7: "{q} For this reason, I will be {r}.",
    8: "{q} From now on, I will think like {r}.",
}

# For questions the annotator declines (14 of LIMA's 1,030 in the paper): written by hand, section 3.1.
DECLINED_QUESTION = "This question is a sensitive request involving possible harm to someone."
DECLINED_ROLE = "an AI assistant who is honest, kind and careful"

# For replies out of form that stay so when asked again: the same role, and nothing said of the question.
UNKNOWN_QUESTION = "This question is a request involving a topic that nobody has described yet."


@dataclass(frozen=True)
class Role:
    question_description: str  # "This question is a ... problem involving ...."
    role_description: str  # "a ... who ..."

    def text(self, design: int | str = 8) -> str:
        return render(self.question_description, self.role_description, design)


DECLINED = Role(DECLINED_QUESTION, DECLINED_ROLE)
UNKNOWN = Role(UNKNOWN_QUESTION, DECLINED_ROLE)


def annotation_prompt(question: str) -> str:
    """What the annotator is asked about one question (Figure 2, upper half)."""
    return ANNOTATION_PROMPT.format(example_question=EXAMPLE_QUESTION, question=question.strip())


def annotation(role: Role) -> str:
    """A role as an annotator's reply in form: the inverse of `parse_annotation`."""
    return f"A: {role.question_description} To better solve it, I will act as {role.role_description}."


def parse_annotation(text: str) -> Role | None:
    """The two descriptions in an annotator's reply, or None if the reply does not hold both, or holds two roles.

    The form is found in a fence, in quotation marks, in bold, after a greeting and before a remark. A reply that only
    resembles the form is better asked again than guessed at.
    """
    flat, found = " ".join(without_marks(text).split()), set()
    for form in _FORM_OF_REPLY.finditer(flat):
        question, role = form["question"], first_sentence(flat[form.end() :])
        role = role.rstrip(".!").removesuffix(CLOSING.get(form["opening"], "")).rstrip(".!")
        if first_sentence(question) == question and _ROLE.fullmatch(role) and balanced(role):
            found.add(Role(question, role))
    return found.pop() if len(found) == 1 else None


_FORM_OF_REPLY = re.compile(
    r"(?P<opening>[^\w\s\[]?)(?:A: ?)?(?<!\[)(?P<question>This question is an? (?:(?!This question is)[^\[\]])+?\.)"
    rf"[{CLOSERS}]? [{OPENERS}]?To better solve it, I will act as (?=an? )"
)
_ROLE = re.compile(r"an? [^\[\]]*[^\[\]:]")


def render(question_description: str, role_description: str, design: int | str = 8) -> str:
    """The bracketed role prompt of a design, e.g. "[This question ... I will think like a ....]"; "" for 0."""
    q = question_description.strip().rstrip(".") + "."
    r = role_description.strip().rstrip(".")
    sentence = template(design).format(q=q, r=r)
    return f"[{sentence}]" if sentence else ""


def template(design: int | str) -> str:
    """The wording of a Table 3 design; a template of your own, which begins with "{q}", is its own wording."""
    if isinstance(design, str) and design.startswith("{q}"):
        return design
    if design not in DESIGNS:
        raise ValueError(f"unknown prompt design {design!r}: Table 3 has designs 0 to 8, your own begins with {{q}}")
    return DESIGNS[design]


_OPENING = "[This question is"
INSIDE = r"(?:[^\[\]]|\[(?:[^\[\]]|\[[^\[\]]*\])*\])*"  # of brackets: "a Dict[str, List[int]]" closes none of ours
_SPAN = re.compile(rf"\s*\[(This question is{INSIDE})\]")


def _form(*templates: str) -> re.Pattern:
    """What a role prompt of one of these wordings looks like inside its brackets; they end alike."""
    joints, _, ends = zip(*(t.removeprefix("{q}").partition("{r}") for t in templates))
    between, end = "|".join(re.escape(j.strip()) for j in joints), re.escape(ends[0].strip().rstrip("."))
    return re.compile(rf"(This question is [^.]+\..*?)\s*(?:{between})\s+(.+?){end}\.?$")


_FORM = _form(*(t for n, t in DESIGNS.items() if n >= 2))


def strip(text: str) -> tuple[str | None, str]:
    """Split a model's reply into its opening role prompt (with brackets; None if it has none) and the answer.

    A bracket that never closes (the reply was cut inside the role prompt) leaves the answer empty:
    nothing of a role prompt may ever be read as an answer.
    """
    if match := _SPAN.match(text):
        return f"[{match[1]}]", text[match.end() :].strip()
    start = text.lstrip()
    if start.startswith(_OPENING) or (start and _OPENING.startswith(start)):
        return text.strip(), ""
    return None, text.strip()


def parse(role_text: str | None, design: int | str | None = None) -> Role | None:
    """The two descriptions in a role prompt; None when it is missing (also pandas' NA) or not well-formed.

    `design`: the one wording to accept, of Table 3 or your own; without it any of designs 2 to 8. Designs 0 and 1
    hold no role, so that nothing is well-formed there.
    """
    if not isinstance(role_text, str) or not (role_text.startswith("[") and role_text.endswith("]")):
        return None
    if design is not None and "{r}" not in template(design):
        return None
    form = _FORM if design is None else _form(template(design))
    match = form.fullmatch(role_text[1:-1].strip())
    return Role(match[1], match[2]) if match else None


def condition(role_text: str | None) -> str:
    """What became of a role prompt: "well-formed" (`parse` reads it), "malformed", or "missing" (also pandas' NA)."""
    if not isinstance(role_text, str) or not role_text.strip():
        return "missing"
    return "well-formed" if parse(role_text) else "malformed"


# A description goes on after the noun with one of these; the noun stands before it.
_AFTER = re.compile(
    r"(?<!-)\b(?:who|that|which|whose|with|of|in|for|at|from|on|to)\b(?!-)|,(?:\s+(?:an?|the|skilled|trained|experienced)\b|(?=[^,]* and ))"
    r"|\bspeciali[sz]ing\b|\b(?:speciali[sz]ed|skilled|trained|experienced)\s+(?:in|at|as|with)\b"
)


def role_noun(role_description: str) -> str | None:
    """The head noun of a role description, lower-cased and singular: "an excellent math teacher who ..." -> "teacher".

    Rule: drop the article, cut at the first word that starts a complement ("who", "of", "specializing", ...),
    take the last word before the cut, and drop a plural ending.
    """
    words = re.sub(r"^(an?|the)\s+", "", role_description.strip().lower())
    head = re.findall(r"[a-z][a-z-]*", _AFTER.split(words)[0])
    return _singular(head[-1]) if head else None


def _singular(noun: str) -> str:
    if noun.endswith("ies") and len(noun) > 4:
        return noun[:-3] + "y"
    plural = noun.endswith("s") and not noun.endswith(("ss", "us", "is", "ics")) and len(noun) > 3
    return noun[:-1] if plural else noun
