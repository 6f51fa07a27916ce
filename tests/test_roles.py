"""A role prompt can be written in every design, read back, and never leaks into an answer."""

from __future__ import annotations

import pandas as pd
import pytest

from helpers import annotate, benchmarks, data, paper, roles
from helpers.annotate import examples
from helpers.chat import journal

REPLIES = [record["reply"] for record in journal.read(annotate.PACKAGED_JOURNAL)]
ROLES = [roles.parse_annotation(reply) or roles.DECLINED for reply in REPLIES]
WITH_ROLE = [n for n in roles.DESIGNS if n >= 2]
LETTERED = ("mmlu", "commonsense_qa", "truthful_qa", "openbookqa", "date")


@pytest.mark.parametrize("design", WITH_ROLE)
def test_every_packaged_annotation_is_read_back_from_its_role_prompt(design):
    assert len(ROLES) == 120
    for role in ROLES:
        assert roles.parse(role.text(design)) == role


TABLE_3 = {  # as printed in the paper
    1: "[Question Description].",
    2: "[Question Description]. As a result, I will solve it like [Role Description].",
    3: "[Question Description]. Therefore, I will answer it as [Role Description].",
    4: "[Question Description]. To solve this problem, I will act as [Role Description].",
    5: "[Question Description]. So I will become [Role Description].",
    6: "[Question Description]. Fortunately, I am [Role Description].",
    7: "[Question Description]. For this reason, I will be [Role Description].",
    8: "[Question Description]. From now on, I will think like [Role Description].",
}


@pytest.mark.parametrize("design", TABLE_3)
def test_a_design_is_worded_as_in_table_3(design):
    question, person = "This question is a chemistry problem involving acids", "a chemist who teaches"
    sentence = TABLE_3[design].replace("[Question Description]", question).replace("[Role Description]", person)
    assert roles.render(f"{question}.", person, design) == f"[{sentence}]"


def test_design_0_is_no_role_prompt_and_design_1_only_describes_the_question():
    role = ROLES[0]
    assert role.text(0) == ""
    assert role.text(1) == f"[{role.question_description}]"
    assert roles.parse(role.text(1)) is None


def test_full_stops_are_neither_doubled_nor_lost():
    with_stop = roles.render("This question is a math problem involving sums.", "a teacher who counts.")
    without = roles.render("This question is a math problem involving sums", "a teacher who counts")
    assert with_stop == without
    assert ".." not in with_stop and with_stop.endswith(".]")


@pytest.mark.parametrize("design", [-1, 9, "8"])
def test_a_design_that_table_3_does_not_have_is_refused(design):
    with pytest.raises(ValueError, match="0 to 8"):
        roles.render("This question is a math problem involving sums.", "a teacher who counts", design)


# --- strip --------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", [n for n in roles.DESIGNS if n >= 1])
def test_strip_takes_the_whole_role_prompt_and_leaves_the_whole_answer(design):
    for role in ROLES:
        text = role.text(design)
        assert roles.strip(f" {text} The answer is (B).\n") == (text, "The answer is (B).")


ANSWERS = {  # a reply -> what is left of it without its role prompt
    " Cells move. [see page 3]\n": "Cells move. [see page 3]",
    "": "",
    "[This question is a math problem. From now on, I will think like A or B or (C)": "",  # never closed
    "[This question is a math problem involving [A]. From now on, I will think like a teacher of (C).] B": "B",
    "[This question is about sums.\nFrom now on, I will think like a teacher.]\n\n(C)": "(C)",
}


@pytest.mark.parametrize("reply", ANSWERS)
def test_the_answer_is_what_stands_outside_the_role_prompt(reply):
    role, answer = roles.strip(reply)
    assert answer == ANSWERS[reply] and (role is not None) == reply.startswith("[This question is")


@pytest.mark.parametrize("kind", ["List[int]", "Dict[str, List[int]]", "a [] and [x]"])
def test_brackets_inside_a_role_prompt_do_not_swallow_the_answer(kind):
    prompt = f"[This question is a programming problem involving {kind}. From now on, I will think like {{}}.]"
    role, answer = roles.strip(prompt.format("a developer who tests") + "\ndef f(x): return x[0]")
    assert (role, answer) == (prompt.format("a developer who tests"), "def f(x): return x[0]")
    assert roles.parse(role).role_description == "a developer who tests"
    second = prompt.format("an A [B]") + " The answer is (C)."  # which `strip` leaves, and `extract` must not read
    assert benchmarks.get("mmlu").extract(second, rule="declared") == "C"
    cut = prompt.format("an A [B")[:-1]  # and one that never closes
    assert benchmarks.get("mmlu").extract(cut, rule="declared") is None and roles.strip(cut) == (cut, "")


def test_a_reply_cut_anywhere_inside_its_role_prompt_leaves_no_answer():
    text = ROLES[0].text()
    leaked = [text[:cut] for cut in range(1, len(text)) if roles.strip(text[:cut])[1]]
    assert leaked == []


def test_no_letter_of_a_role_prompt_is_read_as_an_answer():
    capitals = (
        "[This question is a biology problem involving (A) or D. From now on, I will think like a B or C expert.]"
    )
    for name in LETTERED:
        b = benchmarks.BENCHMARKS[name]
        for text in [capitals, capitals[:-1], *(role.text() for role in ROLES)]:
            assert b.extract(roles.strip(text)[1]) is None
        assert b.extract(roles.strip(f"{capitals} (C)")[1]) == "C"


# --- the annotation prompt and its answer -------------------------------------------------------


def test_the_annotation_prompt_holds_the_question_once_and_the_worked_example():
    prompt = roles.annotation_prompt("  Why is the sky {blue}?\n")
    assert prompt.count("Why is the sky {blue}?") == 1
    assert prompt.endswith("Q: Why is the sky {blue}?")
    assert roles.EXAMPLE_QUESTION in prompt
    assert paper.EXAMPLES[0].removeprefix("A: ") in prompt


def test_both_examples_of_figure_2_are_accepted():
    maths, neuroscience = map(roles.parse_annotation, paper.EXAMPLES)
    assert maths.question_description.endswith("involving basic arithmetic and logic.")
    assert maths.role_description.startswith("an excellent math teacher who")
    assert neuroscience.role_description.endswith("its cellular behaviors")


Q = "This question is a math problem involving sums."
IN = "This question is a history problem involving {}."
R = " To better solve it, I will act as {}"


@pytest.mark.parametrize("what", [*examples.FOUND, *examples.REFUSED])
def test_a_form_is_found_wherever_it_stands_in_a_reply_and_nothing_else_is_guessed_at(what):
    """The table that lesson 01 shows."""
    reply, role = examples.FOUND.get(what) or (examples.REFUSED[what], None)
    assert roles.parse_annotation(reply) == (role and roles.Role(examples.QUESTION, role))


SHORT = (
    *("Brown v. Board", "the city of St. Petersburg", "Symphony No. 9", "the U.S. Senate", "T. S. Eliot", "Vue.js"),
    *("Dr. Strangelove", "Mrs. Dalloway", "Mt. Fuji", "Sammy Davis Jr. and his songs", "Apple Inc. and others"),
    *("George W. Bush", "Gen. Grant", "i.e. Roman law", "C# and .NET", "version 3.5", "Ph.D. Programs", "Op. 27 No. 2"),
    *(
        "Vol. II of it",
        "Prof. Higgins",
        "5 p.m. Lectures",
        "birds, etc. in spring",
        "No. 10 Downing Street",
        "Yahoo! mail",
    ),
)


@pytest.mark.parametrize(
    "after",
    [
        "",
        " I hope this helps.",
        " The answer is 4.",
        "\n\nLet me know!",
        " let me know!",
        " 😊",
        "\n---\nBye.",
        "\nQ: And now?",
    ],
)
def test_a_short_word_inside_a_description_ends_no_sentence_and_what_follows_the_form_does(after):
    for short in SHORT:
        expected = roles.Role(IN.format(short), f"a guide who knows {short}")
        reply = f"A: {expected.question_description}{R.format(expected.role_description)}.{after}"
        assert roles.parse_annotation(reply) == expected, reply


@pytest.mark.parametrize("last", ["the U.S.", "bread, etc.", "Acme Inc.", "vitamin C.", "a 5 p.m.", "Node.js.", "Art."])
def test_a_short_word_at_the_end_keeps_the_next_sentence_out_of_the_role(last):
    found = roles.parse_annotation(f"{Q}{R.format(f'a guide who knows {last}')} The answer is 4.")
    assert found.role_description == f"a guide who knows {last.removesuffix('.')}"


def test_every_role_that_we_ship_is_read_back_from_its_own_reply():
    shipped = annotate.packaged_roles()
    assert [roles.parse_annotation(roles.annotation(role)) for role in shipped] == shipped


@pytest.mark.parametrize(
    "text", [None, "", "no brackets", Q, f"[{Q}]", f"[{Q} From now on, I will think like a teacher"]
)
def test_what_is_no_role_prompt_is_not_parsed(text):
    assert roles.parse(text) is None


def test_a_declined_question_gets_the_ai_assistant_in_the_same_form():
    end = "an AI assistant who is honest, kind and careful"
    assert roles.DECLINED.text().endswith(f"From now on, I will think like {end}.]")
    assert (
        roles.parse_annotation(f"{roles.DECLINED_QUESTION} To better solve it, I will act as {end}.") == roles.DECLINED
    )


NOUNS = {
    "an excellent math teacher who can always explain": "teacher",
    "a neuroscientist who specializes in the brain": "neuroscientist",
    "a historian of science": "historian",
    "a software engineer skilled in Python": "engineer",
    "a chef experienced in small kitchens": "chef",
    "a nutritionist specializing in sport": "nutritionist",
    "a professional wedding planner with a calm voice": "planner",
    "a TV critic, novelist and poet": "critic",
    "a nurse-midwife at a city hospital": "nurse-midwife",
    "an ER doctor.": "doctor",
    "The biologist that discovered it": "biologist",
    "a skilled carpenter who restores stairs": "carpenter",
    "a trained nurse who explains doses": "nurse",
    "a patient, friendly tutor who explains": "tutor",
    "an in-house lawyer for a bank": "lawyer",
    "a browser add-on developer who uses JavaScript": "developer",
    "a cardiac specialist who reads scans": "specialist",
    "a specialized nurse who works in schools": "nurse",
    "a surgeon specialized in knees": "surgeon",
    "two theories": "theory",
    "analysts": "analyst",
    "": None,
}


@pytest.mark.parametrize("description", NOUNS)
def test_the_word_cloud_counts_the_head_noun_of(description):
    assert roles.role_noun(description) == NOUNS[description]


def test_the_noun_is_a_profession_in_nearly_all_roles_of_lima():
    """All 1,030, by a rule that was not told: a profession ends so, or is in a short list that a person read."""
    endings = ("er", "or", "ist", "ian", "ant", "ent", "eer", "ar", "yst", "ic", "ary", "ect", "ess", "ive", "ate")
    others = "poet coach guide chef judge host cook nurse clerk surgeon chaplain captain imam nanny"
    others += " attorney concierge official astronaut entrepreneur silversmith playwright"
    rows = data.read_jsonl(data.SAMPLES / "lima_roles.jsonl")
    nouns = [roles.role_noun(row["role_description"]) for row in rows]
    assert len(nouns) == 1030 and all(roles.role_noun(r.role_description) for r in ROLES)
    odd = sorted({noun for noun in nouns if not noun.endswith(endings) and noun not in others.split()})
    assert odd == ["ruby"]  # "a Ruby on Rails developer": the rule cuts at "on", and lesson 05 says that it does


def test_what_became_of_a_role_prompt_is_told_apart():
    good = ROLES[0].text()
    assert roles.condition(good) == "well-formed"
    for missing in (None, float("nan"), pd.NA, "", "  "):
        assert roles.condition(missing) == "missing"
    for malformed in (good[:-1], good[: len(good) // 2], f"[{ROLES[0].question_description}]"):
        assert roles.condition(malformed) == "malformed"
