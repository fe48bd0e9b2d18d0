"""The layouts of records: where a record has its question, its solution and its answer, and which records have none."""

import json
import re
from pathlib import Path

import pytest

from zipthought.cli import main
from zipthought.records.schema import check_record
from zipthought.solutions import gsm8k
from zipthought.solutions.compress import CompressConfig, compress_file

GOOD = {"question": "How many?", "answer": "It is 2 + 3 = 5.\nSo 5 * 4 = <<5*4=20>>20.\n#### 20"}
USER = {"role": "user", "content": "How many?"}
ASSISTANT = {"role": "assistant", "content": GOOD["answer"]}


def rows(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def run(tmp_path, text, name="in.jsonl", formats=("composed:2",), **settings):
    (tmp_path / name).write_text(text)
    config = CompressConfig(input=tmp_path / name, output=tmp_path / "out.jsonl", format=formats, **settings)
    summary = compress_file(config)
    return summary, rows(config.output), rows(config.rejects_path)


@pytest.mark.parametrize(
    "record",
    [
        {"question": "How many?", "cot": "It is 2 + 3 = 5.\nSo 5 * 4 = 20.", "answer": "20"},
        {"question": "How many?", "cot": "It is 2 + 3 = 5.\nSo 5 * 4 = 20.", "answer": 20},
        {"instruction": "How many?", "input": "", "output": GOOD["answer"]},
        {"conversations": [{"from": "human", "value": "How many?"}, {"from": "gpt", "value": GOOD["answer"]}]},
        {
            "messages": [
                {"role": "system", "content": "Be good."},
                {"role": "user", "content": "How many?"},
                {"role": "assistant", "content": GOOD["answer"]},
            ]
        },
        {"question": "How many?", "steps": ["2 + 3 = <<2+3=5>>5", "<<5*4=20>>"], "answer": "20"},
        {"question": "How many?", "rationale": "It is 2 + 3 = 5.\nSo 5 * 4 = 20.", "answer": "20", "correct": "A"},
        {"question": "How many?", "solution": "It is 2 + 3 = 5.\nSo 5 * 4 = 20.", "answer": 20},
        {"problem": "How many?", "solution": GOOD["answer"], "answer": None},
        {"query": "How many?", "response": GOOD["answer"]},
        {"instruction": "How many?", "output": GOOD["answer"], "answer": "20.0"},
        {"prompt": "How many?", "completion": GOOD["answer"]},
        {
            "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How many?"}],
            "completion": [{"role": "assistant", "content": GOOD["answer"]}],
        },
        {"prompt": [{"role": "user", "content": "How many?"}], "response": GOOD["answer"]},
        {"conversations": [{"role": "user", "content": "How many?"}, {"role": "model", "content": GOOD["answer"]}]},
        {
            "question": "unused",
            "answer": "20",
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "How many?"}]},
                {"role": "assistant", "content": [{"type": "text", "value": GOOD["answer"]}]},
            ],
        },
    ],
)
def test_layouts(tmp_path, record):
    _, out, rejects = run(tmp_path, json.dumps(record))
    assert rejects == []
    assert out[0]["prompt"] == "How many?"
    assert out[0]["answer"] == "20"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"question": "How many?", "solution": GOOD["answer"], "answer": "21"}, "conflicting_finals"),
        ({"instruction": "How many?", "output": GOOD["answer"], "answer": "21"}, "conflicting_finals"),
        ({"question": "How many?", "steps": ["<<2+3=5>>", 7], "answer": "5"}, "missing_field"),
        ({"query": "How many?", "solution": GOOD["answer"]}, "missing_field"),
        ({"prompt": [{"role": "user", "content": "a"}], "completion": True}, "missing_field"),
        (
            {"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "user", "content": "b"}]},
            "no_solution_turn",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image"}]}, {"role": "assistant", "content": "5"}]},
            "missing_field",
        ),
    ],
)
def test_records_whose_fields_do_not_fit(tmp_path, record, reason):
    _, _, rejects = run(tmp_path, json.dumps(record))
    assert [row["reason"] for row in rejects] == [reason]


@pytest.mark.parametrize("answer", ["21", None])
def test_a_named_answer_counts_in_every_layout(tmp_path, answer):
    turns = [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": GOOD["answer"]}]
    record = {"messages": turns, **({"label": {"value": answer}} if answer else {})}
    (tmp_path / "in.jsonl").write_text(json.dumps(record))
    config = CompressConfig(input=tmp_path / "in.jsonl", output=tmp_path / "out.jsonl", answer_field="label.value")
    reason = "conflicting_finals" if answer else "missing_field"
    assert compress_file(config)["reasons"] == {reason: 1}


VERL = """
[[layout]]
name = "verl"
question = "extra_info.question"
solution = "extra_info.answer"
answer = "reward_model.ground_truth"
"""


def test_layouts_of_a_file_come_first(tmp_path):
    nested = {"extra_info": {"question": "How many?", "answer": GOOD["answer"]}, "reward_model": {"ground_truth": "20"}}
    usual = {"problem": "How many?", "solution": GOOD["answer"]}
    (tmp_path / "layouts.toml").write_text(VERL)
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps(record) for record in (nested, usual, usual | nested)))
    options = ["--layout-file", str(tmp_path / "layouts.toml"), "--output", str(tmp_path / "out.v2"), "--workers", "2"]
    assert main(["compress", str(tmp_path / "in.jsonl"), *options]) == 0
    assert [row["answer"] for row in rows(tmp_path / "out.v2" / "composed-2.jsonl")] == ["20"] * 3
    (tmp_path / "in.jsonl").write_text(
        json.dumps({"extra_info.question": "How many?", "extra_info": nested["extra_info"]})
    )
    assert main(["compress", str(tmp_path / "in.jsonl"), *options, "--layout", "verl"]) == 0


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("layout = 3", "[[layout]] tables"),
        ("[[layout]]\nname = 'a'\nquestion = 'q'", "a layout needs a name"),
        ("[[layout]]\nname = 'a'\nturns = 't'\nquestion = 'q'\nsolution = 's'", "a layout needs a name"),
        ("[[layout]]\nname = 'a'\ntopic = 'q'", "no 'topic'"),
        ("[[layout]]\nname = 'a'\nquestion = 3", "must be text"),
        (VERL + VERL, "'verl' exists already"),
        (VERL.replace("verl", "alpaca"), "'alpaca' exists already"),
        ("layout", "not valid TOML"),
    ],
)
def test_faults_of_a_layout_file(tmp_path, text, fault):
    (tmp_path / "layouts.toml").write_text(text)
    with pytest.raises(ValueError, match=re.escape(fault)):
        CompressConfig(input=tmp_path / "in", output=tmp_path / "out", layout_file=tmp_path / "layouts.toml")


def test_fields_by_flag(tmp_path):
    record = {"q": "How many?", "s": "It is 2 + 3 = 5.", "final": "5", "key": 7}
    (tmp_path / "in.jsonl").write_text(json.dumps(record))
    flags = ["--question-field", "q", "--solution-field", "s", "--answer-field", "final", "--id-field", "key"]
    assert main(["compress", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out.jsonl"), *flags]) == 0
    assert rows(tmp_path / "out.jsonl")[0]["source_id"] == "7"


@pytest.mark.parametrize(
    ("wrapper", "count"),
    [
        ({"version": "1.0", "data": [GOOD, GOOD]}, 2),
        ({"train": [GOOD], "test": [GOOD, GOOD], "meta": {"by": "us"}}, 3),
        ({**GOOD, "notes": [{"a": 1}]}, 1),
        ({"messages": [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": GOOD["answer"]}]}, 1),
    ],
)
def test_lists_of_records_under_keys(tmp_path, wrapper, count):
    summary, _, _ = run(tmp_path, json.dumps(wrapper), "in.json")
    assert (summary["input"], summary["verified"]) == (count, count)


DIALOGUE = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Tom fills 4 bags with 6 nuts each. How many nuts?"},
    {"role": "assistant", "content": "4 * 6 = 24.\n#### 24"},
    {"role": "user", "content": "He eats 5 of them and shares the rest with 18 friends."},
    {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "count", "arguments": "{}"}}]},
    {"role": "tool", "content": "ok"},
    {"role": "assistant", "content": "24 - 5 = 19 are left.\n19 * 2 = 38 halves.\n#### 38"},
]


def test_the_last_solution_of_a_dialogue_keeps_what_was_said_before(tmp_path):
    _, (record,), rejects = run(tmp_path, json.dumps({"messages": DIALOGUE, "id": "d"}))
    assert rejects == []
    assert record["source_id"] == "d"
    assert record["prompt"].startswith("Tom fills 4 bags")
    assert record["prompt"].endswith("\n\nok")
    roles = [turn["role"] for turn in record["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "tool", "assistant"]
    assert record["messages"][4]["tool_calls"] == DIALOGUE[4]["tool_calls"]
    assert record["messages"][-1]["content"] == record["completion"] == "(24 - 5) * 2 = 38 halves.\n#### 38"
    check_record(record)


def test_each_solution_of_a_dialogue_and_all_of_them_in_one_split(tmp_path):
    wrong = [*DIALOGUE, {"role": "user", "content": "More?"}, {"role": "assistant", "content": "1 + 1 = 3.\n#### 3"}]
    text = "\n".join(json.dumps({"messages": turns, "id": "d"}) for turns in (DIALOGUE, wrong))
    summary, out, rejects = run(tmp_path, text, turns="each")
    assert (summary["input"], summary["verified"], len(rejects)) == (5, 4, 1)
    assert [row["source_id"] for row in out] == ["d/1", "d/2", "d/1", "d/2"]
    assert rejects[0]["source_id"] == "d/3"
    assert rejects[0]["reason"] == "wrong_arithmetic"
    assert len({row["split"] for row in out}) == len({row["structure"] for row in out}) == 1


@pytest.mark.parametrize("field", ["reasoning_content", "thinking", "reasoning"])
def test_a_train_of_thought_stays_in_its_field(tmp_path, field):
    thoughts = "First 3 * 5 = 15.\nThen 15 + 4 = 19. Right."
    turns = [
        {"role": "user", "content": "How many?"},
        {"role": "assistant", field: thoughts, "content": "It is \\boxed{19}."},
    ]
    text = "\n".join(
        json.dumps(record)
        for record in (
            {"messages": turns},
            {"question": "How many?", field: thoughts, "answer": "19"},
            {"prompt": turns[:1], "completion": "It is \\boxed{19}.", field: thoughts},
        )
    )
    _, out, rejects = run(tmp_path, text, formats=("composed:2", "answer-only"))
    assert rejects == []
    for record in out:
        last = record["messages"][-1]
        if record["format"] == "answer-only":
            assert field not in last
            assert last["content"] in ("19", "\\boxed{19}")
        else:
            assert last[field].endswith("Then 3 * 5 + 4 = 19. Right.")
            assert last["content"] in ("19", "It is \\boxed{19}.")
            assert record["completion"] == f"<think>\n{last[field]}\n</think>\n\n{last['content']}"
        assert gsm8k.verify(record["prompt"], record["completion"], record["answer"]).faithful


def test_parts_of_a_message_that_are_thoughts(tmp_path):
    parts = [{"type": "thinking", "thinking": "3 * 5 = 15"}, {"type": "text", "text": "So \\boxed{15}."}]
    turns = [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": parts}]
    _, (record,), _ = run(tmp_path, json.dumps({"messages": turns}))
    assert record["messages"][-1] == {
        "role": "assistant",
        "content": "So \\boxed{15}.",
        "reasoning_content": "3 * 5 = 15",
    }


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"rationale": "3 * 5 = 15. Answer - B", "correct": "B"}, None),
        ({"rationale": "3 * 5 = 15.\nThe correct option is (B).", "correct": "B"}, None),
        ({"rationale": "3 * 5 = 15, so \\boxed{15}", "correct": "B"}, None),
        ({"rationale": "3 * 5 = 15", "correct": "B"}, None),
        ({"rationale": "3 * 5 = 15. Ans. C", "correct": "B"}, "conflicting_finals"),
        ({"rationale": "3 * 5 = 15. Answer: B. No, answer: C", "correct": "B"}, "conflicting_finals"),
        ({"rationale": "3 * 4 = 12. Answer: B", "correct": "B"}, "final_not_derived"),
        ({"rationale": "3 * 5 = 15, so \\boxed{12}", "correct": "B"}, "conflicting_finals"),
        ({"solution": "3 * 5 = 15. The answer is B) 15.", "answer": "B"}, None),
    ],
)
def test_options(tmp_path, record, reason):
    options = ["A) 12", "B) 15", "C) 18 eggs", "D) None of these"]
    summary, out, _ = run(tmp_path, json.dumps({"question": "How many?", "options": options, **record}))
    assert summary["reasons"] == ({reason: 1} if reason else {})
    if out:
        assert out[0]["answer"] in ("B", "15")
        assert out[0]["prompt"].endswith("B) 15\nC) 18 eggs\nD) None of these")
        assert gsm8k.verify(out[0]["prompt"], out[0]["completion"], "B").faithful


@pytest.mark.parametrize(
    "options",
    [
        {"A": "12", "B": "15", "C": None},
        {"b": 15, "a": 12},
        ["12", "15"],
        [12, 15],
        ["a) 12", "b) 15"],
        {"label": ["A", "B"], "text": ["12", "15"]},
        [{"label": "A", "text": "12"}, {"label": "B", "text": "15"}],
        "A) 12\nB) 15",
        "a ) 12 , b ) 15",
    ],
)
@pytest.mark.parametrize("answer", ["B", "b", "15", 15])
def test_options_are_written_into_the_question(tmp_path, options, answer):
    record = {"question": "How many?", "rationale": "3 * 5 = 15", "options": options, "correct": answer}
    _, (out,), _ = run(tmp_path, json.dumps(record))
    assert out["prompt"] == "How many?\nA) 12\nB) 15"
    assert out["answer"] == ("15" if answer in ("15", 15) else "B")


def test_options_that_the_question_has_are_not_written_twice(tmp_path):
    record = {"question": "How many? (A) 12 (B) 15", "options": ["12", "15"], "solution": "3 * 5 = 15", "answer": "B"}
    assert run(tmp_path, json.dumps(record))[1][0]["prompt"] == record["question"]


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 1},
        {"A": "12", "C": "15"},
        {"A": "12"},
        {"label": ["A", "B"], "text": ["12"]},
        {"label": ["A"]},
        [None, "15"],
        [["12"], ["15"]],
        [{"a": 1}, {"b": 2}],
        [str(number) for number in range(11)],
        True,
    ],
)
def test_options_that_cannot_be_read(tmp_path, options):
    summary, _, _ = run(tmp_path, json.dumps({**GOOD, "options": options}))
    assert summary["reasons"] == {"unreadable_options": 1}


def test_options_in_a_field_that_a_layout_names(tmp_path):
    text = "[[layout]]\nname = 'own'\nquestion = 'q'\nsolution = 's'\nanswer = 'a'\noptions = 'choices'\n"
    (tmp_path / "layouts.toml").write_text(text)
    record = {"q": "How many?", "s": "3 * 5 = 15", "a": "B", "choices": ["12", "15"]}
    _, (out,), _ = run(tmp_path, json.dumps(record), layout_file=tmp_path / "layouts.toml")
    assert out["prompt"] == "How many?\nA) 12\nB) 15"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"messages": []}, "no_solution_turn"),
        ({"messages": [{}, USER, ASSISTANT]}, "no_solution_turn"),
        ({"messages": [None, USER, ASSISTANT]}, "missing_field"),
        ({"messages": [{"role": ["user"], "content": "a"}, ASSISTANT]}, "no_solution_turn"),
        ({"messages": [{"role": "user", "content": None}, ASSISTANT]}, "missing_field"),
        ({"messages": [{"role": "user", "content": ""}, ASSISTANT]}, "missing_field"),
        ({"messages": [USER, {"role": "assistant", "content": None}]}, "missing_field"),
        ({"messages": [USER, {"role": "assistant", "content": ""}]}, "no_final_answer"),
        ({"messages": [USER, {"role": "assistant", "content": "No </think> \\boxed{5}", "thinking": "a"}]}, "no_steps"),
        (
            {"messages": [{**USER, "content": [{"type": "image_url"}, {"type": "text", "text": "a"}]}, ASSISTANT]},
            "missing_field",
        ),
        ({"prompt": [], "completion": GOOD["answer"]}, "missing_field"),
        ({"prompt": [USER], "completion": [{"type": "text", "text": GOOD["answer"]}]}, "no_solution_turn"),
        (
            {"prompt": [USER, ASSISTANT, USER], "completion": [{"role": "assistant", "tool_calls": [{"id": 1}]}]},
            "no_solution_turn",
        ),
        ({"question": " ", "answer": GOOD["answer"]}, "missing_field"),
        ({"question": [{"a": 1}], "answer": GOOD["answer"]}, "missing_field"),
        ({"question": "a", "solution": "2 + 3 = 5", "answer": ["5", "6"]}, "unreadable_final"),
        ({"question": "a", "solution": GOOD["answer"], "answer": ["20", "6"]}, "unreadable_final"),
        ({"question": "a", "solution": "2 + 3 = 5", "answer": ""}, "no_final_answer"),
        ({"question": "a", "solution": "2 + 3 = 5", "answer": []}, "no_final_answer"),
        ({"question": "a", "solution": GOOD["answer"], "answer": {"value": 20}}, "missing_field"),
        ({"question": "a", "solution": GOOD["answer"], "answer": True}, "missing_field"),
        ({"question": "a", "rationale": "2 + 3 = 5", "options": ["A) 5", "B) 6"]}, "no_final_answer"),
        ({"question": "a", "rationale": "2 + 3 = 5", "options": ["A) 5", "B) 6"], "correct": "E"}, "unreadable_final"),
    ],
)
@pytest.mark.parametrize("turns", ["last", "each"])
def test_odd_records_are_rejects(tmp_path, record, reason, turns):
    summary, _, _ = run(tmp_path, json.dumps(record), turns=turns)
    assert summary["reasons"] == {reason: 1}


@pytest.mark.parametrize(
    "record",
    [
        {"messages": [{**USER, "tool_calls": None, "name": None}, {**ASSISTANT, "tool_calls": None, "name": None}]},
        {"messages": [USER, {**ASSISTANT, "tool_calls": []}]},
        {
            "conversations": [
                {"from": "human", "value": "How many?", "role": None, "content": None},
                {"from": "gpt", "value": GOOD["answer"], "role": None, "content": None},
            ]
        },
        {"prompt": [{"from": "human", "value": "How many?"}], "completion": GOOD["answer"]},
        {"question": "How many?", "rationale": GOOD["answer"], "correct": True},
        {"question": "How many?", "solution": GOOD["answer"], "answer": ""},
        {"question": "How many?", "solution": GOOD["answer"], "answer": ["20"]},
        {"instruction": "", "input": "How many?", "output": GOOD["answer"]},
        {**GOOD, "id": 1.5, "thinking": True, "system": [1], "reasoning": {"a": "b"}, "options": None},
    ],
)
def test_fields_without_a_value_change_nothing(tmp_path, record):
    _, (out,), _ = run(tmp_path, json.dumps(record))
    assert out["messages"][1:-1] == [USER]
    assert out["answer"] == "20"
    check_record(out)


@pytest.mark.parametrize(
    "calls",
    [
        [
            {"from": "human", "value": "How many?"},
            {"from": "function_call", "value": None},
            {"from": "observation", "value": "ok"},
            {"from": "gpt", "value": GOOD["answer"]},
        ],
        [
            USER,
            {"role": "assistant", "content": None, "function_call": {"name": "count"}},
            {"role": "function", "name": "count", "content": "ok"},
            ASSISTANT,
        ],
    ],
)
def test_calls_of_tools_are_no_solutions(tmp_path, calls):
    _, (out,), _ = run(tmp_path, json.dumps({"conversations": calls}), turns="each")
    assert out["prompt"] == "How many?\n\nok"
    assert [turn["role"] for turn in out["messages"]] == ["system", "user", "assistant", "tool", "assistant"]
    assert out["messages"][2].get("function_call") == calls[1].get("function_call")


def test_a_greeting_does_not_decide_the_split(tmp_path):
    greeting = {"role": "assistant", "content": "Hello!"}
    dialogues = [
        [greeting, {"role": "user", "content": f"How many, {index}?"}, ASSISTANT, USER, ASSISTANT] for index in (1, 2)
    ]
    _, out, _ = run(tmp_path, "\n".join(json.dumps({"messages": turns}) for turns in dialogues), turns="each")
    assert out[0]["structure"] == out[1]["structure"] != out[2]["structure"] == out[3]["structure"]


def test_a_solution_with_tags_of_its_own_keeps_them(tmp_path):
    content = "<think>\n2 + 3 = 5\n</think>\nIt is \\boxed{5}."
    turns = [USER, {"role": "assistant", "content": content, "reasoning_content": "2 + 3 = 5"}]
    _, (out,), _ = run(tmp_path, json.dumps({"messages": turns}))
    assert out["messages"][-1] == {"role": "assistant", "content": content}


def test_tags_within_a_train_of_thought_are_left_out(tmp_path):
    turns = [USER, {"role": "assistant", "content": "It is \\boxed{5}.", "thinking": "</thi</think>nk>2 + 3 = 5<think"}]
    _, (out,), _ = run(tmp_path, json.dumps({"messages": turns}))
    assert out["messages"][-1]["thinking"] == "2 + 3 = 5"


def test_thoughts_of_earlier_turns_stay_in_their_messages(tmp_path):
    parts = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Well."}]
    turns = [USER, {"role": "assistant", "content": parts}, USER, ASSISTANT]
    _, (out,), _ = run(tmp_path, json.dumps({"messages": turns}))
    assert out["messages"][2] == {"role": "assistant", "content": "Well.", "reasoning_content": "Hm."}
    assert out["prompt"] == "How many?\n\nWell.\n\nHow many?"


def test_one_solution_of_a_dialogue_is_explained(tmp_path, capsys):
    (tmp_path / "in.jsonl").write_text(json.dumps({"messages": [USER, ASSISTANT, USER, ASSISTANT], "id": 7}))
    command = ["compress", str(tmp_path / "in.jsonl"), "--turns", "each", "--json", "--explain"]
    for name, ids in (("7/2", ["7/2"]), ("7", ["7/1", "7/2"])):
        assert main([*command, name]) == 0
        assert [one["source_id"] for one in json.loads(capsys.readouterr().out)["records"]] == ids
    assert main([*command, "7/3"]) == 2
