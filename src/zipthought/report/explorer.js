// The trace explorer: a problem, its gold trace in every format, and the completions of models, verified step by step.
"use strict";
(() => {
  const home = document.getElementById("explorer");
  if (!home) return;
  const problems = report.problems;
  const at = (id) => document.getElementById(id);
  const SYMBOLS = {
    valid: "✓", wrong_arithmetic: "✗", wrong_premise: "≠", undefined_reference: "?", redefined: "↺", unparseable: "…",
  };
  const words = (name) => name.replaceAll("_", " ");
  const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

  // Text from outside becomes text nodes only. A chip is markup that the report itself wrote.
  const make = (tag, className, ...children) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...children);
    return element;
  };
  const chip = (name) => {
    const box = make("span", "");
    box.innerHTML = report.chips[name];
    return box.firstChild;
  };

  function goldCard([format, text, tokens], most) {
    const mark = chip(format);
    const fill = make("i", "");
    fill.style.width = `${(100 * tokens) / Math.max(1, most)}%`;
    const meter = make("div", "meter", fill);
    meter.style.setProperty("--c", mark.style.getPropertyValue("--c"));
    meter.setAttribute("aria-hidden", "true");
    const head = make("header", "", mark, make("span", "", count(tokens, "token")));
    return make("article", "card", head, meter, make("p", "trace", text));
  }

  function stepLine([text, verdict, granularity, form]) {
    const label = make("small", "", make("b", "", `${SYMBOLS[verdict] || "·"} ${words(verdict)}`));
    const covers = form === "given" || form === "restated" ? form : granularity ? `${form}, ${count(granularity, "operation")}` : "";
    if (verdict === "valid" && covers) label.append(` · ${covers}`);
    return make("li", verdict in SYMBOLS ? verdict : "", text, label);
  }

  function verdictMark(good, label) {
    return make("span", good ? "yes" : "", `${good ? "✓" : "✗"} ${label}`);
  }

  function generatedCard(completion) {
    const source = `${count(completion.examples, "example")}${completion.label ? ` · ${completion.label}` : ""}`;
    const answer = completion.answer_verdict;
    const verdicts = make("p", "ruling", verdictMark(answer === "correct", `answer ${words(answer)}`),
      verdictMark(completion.faithful, completion.faithful ? "faithful" : "not faithful"));
    const raw = make("details", "", make("summary", "", "as generated"), make("p", "trace", completion.text || "(empty)"));
    const steps = completion.steps.length
      ? make("ol", "steps", ...completion.steps.map(stepLine))
      : make("p", "empty", "No step was written.");
    const head = make("header", "", chip(completion.format), make("span", "", source));
    return make("article", "card", head, verdicts, steps, raw);
  }

  function showGenerated() {
    const problem = problems[at("x-problem").selectedIndex];
    const format = at("x-format")?.value;
    const examples = at("x-examples")?.value;
    const shown = problem.generated.filter(
      (completion) => (!format || completion.format === format)
        && (!examples || String(completion.examples) === examples));
    const none = problem.generated.length ? "No trace of this problem matches." : "No model was given this problem.";
    at("x-generated").replaceChildren(...(shown.length ? shown.map(generatedCard) : [make("p", "empty", none)]));
  }

  function show() {
    const index = at("x-problem").selectedIndex;
    const problem = problems[index];
    const most = Math.max(...problem.gold.map((gold) => gold[2]), 1);
    at("x-prompt").textContent = problem.prompt;
    at("x-position").textContent = `${index + 1} of ${problems.length}`;
    at("x-gold").replaceChildren(...problem.gold.map((gold) => goldCard(gold, most)));
    showGenerated();
  }

  function move(by) {
    at("x-problem").selectedIndex = (at("x-problem").selectedIndex + by + problems.length) % problems.length;
    show();
  }

  at("x-previous").addEventListener("click", () => move(-1));
  at("x-next").addEventListener("click", () => move(1));
  at("x-problem").addEventListener("change", show);
  [at("x-format"), at("x-examples")].forEach((select) => select?.addEventListener("change", showGenerated));
  home.tabIndex = 0;
  home.addEventListener("keydown", (event) => {
    const plain = !event.altKey && !event.ctrlKey && !event.metaKey && event.target.tagName !== "SELECT";
    if (plain && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
      event.preventDefault();
      move(event.key === "ArrowRight" ? 1 : -1);
    }
  });
  // Show the largest training set first.
  if (at("x-examples") && at("x-examples").options.length > 2) at("x-examples").selectedIndex = 1;
  show();
})();
