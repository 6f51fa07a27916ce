"""Replies of annotators, and what the parser makes of them: lesson 01 shows this table, and the tests hold it.

Every reply that is found holds the same two facts, `QUESTION` and a role; what is refused is asked again.
"""

from __future__ import annotations

QUESTION = "This question is a legal problem involving court cases."
ROLE = "a lawyer who reads precedents"
FORM = f"A: {QUESTION} To better solve it, I will act as {ROLE}."


def with_role(role: str, after: str = ".") -> str:
    """A reply in form with another role."""
    return f"A: {QUESTION} To better solve it, I will act as {role}{after}"


FOUND = {  # what is special about a reply -> (the reply, its role)
    "as asked": (FORM, ROLE),
    "without A:": (FORM.removeprefix("A: "), ROLE),
    "without the last full stop": (FORM.removesuffix("."), ROLE),
    "line breaks": (FORM.replace(". To", ".\n\nTo").replace("act as ", "act as\n  "), ROLE),
    "in a fence": (f"```text\n{FORM}\n```", ROLE),
    "in backticks": (f"`{FORM}`", ROLE),
    "in quotation marks": (f'"{FORM}"', ROLE),
    "in curly ones": (f"“{FORM}”", ROLE),
    "in German ones": (f"„{FORM}“", ROLE),
    "in French ones": (f"« {FORM} »", ROLE),
    "in Japanese ones": (f"「{FORM}」", ROLE),
    "a bold label": (FORM.replace("A:", "**A:**"), ROLE),
    "bold fields": (FORM.replace("lawyer", "**lawyer**").replace("legal", "*legal*"), ROLE),
    "after a greeting": (f"Sure! Here is the role:\n\n{FORM}", ROLE),
    "before a remark": (f"{FORM} Let me know if you need another one!", ROLE),
    "before a remark, in a line of its own": (f"{FORM.removesuffix('.')}\n\nI hope this helps.", ROLE),
    "before the answer": (f"{FORM} The answer is one third.", ROLE),
    "before the next question": (f"{FORM.removesuffix('.')}\nQ: And now?", ROLE),
    "as a quotation": (f"> {FORM.replace('. To', chr(46) + chr(10) + '> To')}", ROLE),
    "twice the same": (f"{FORM}\n\nIn short:\n{FORM}", ROLE),
    "v.": (with_role("a lawyer who knows Roe v. Wade"), "a lawyer who knows Roe v. Wade"),
    "St.": (with_role("a judge of the city of St. Louis"), "a judge of the city of St. Louis"),
    "U.S.": (with_role("a scholar of the U.S. Constitution"), "a scholar of the U.S. Constitution"),
    "Dr.": (with_role("a historian of Dr. King and J. K. Polk"), "a historian of Dr. King and J. K. Polk"),
    "e.g.": (with_role("a clerk of courts, e.g. The Hague"), "a clerk of courts, e.g. The Hague"),
    "No. 5": (with_role("a pianist who plays Op. 27 No. 5"), "a pianist who plays Op. 27 No. 5"),
    "Node.js": (with_role("a developer who uses Node.js"), "a developer who uses Node.js"),
    "Jr., and a remark": (with_role("a reader of King Jr.", " I hope this helps."), "a reader of King Jr"),
}
REFUSED = {
    "empty": "",
    "a refusal": "I'm sorry, but I can't help with that.",
    "only one half": FORM.split(" To better")[0],
    "the form, not filled in": "A: This question is a [] problem involving []. To better solve it, I will act as a [] who [].",
    "in square brackets": FORM.replace("A: ", "A: [").replace("precedents.", "precedents.]"),
    "another wording": FORM.replace("To better solve it, I will act as", "I'd pick"),
    "no article": FORM.replace("act as a lawyer", "act as lawyer"),
    "two sentences in the question": FORM.replace(" involving", ". It is one involving"),
    "two different roles": f"{FORM}\nOr: {with_role('a judge who decides')}",
    "a quotation, and more": f'"{FORM.removesuffix(".")}" is what I choose.',
    "a colon and the answer": with_role(ROLE, ": The answer is one third."),
}
