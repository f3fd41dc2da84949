#!/usr/bin/env python3
"""Writes the prompts of the bundled guard model: training rows from a grammar, and its held-out set.

    python tools/guard_prompts.py --held-out models/guard-4M/heldout.jsonl
    python tools/guard_prompts.py --training 60000 > training.jsonl

A row is {"prompt", "response", "prompt_harm_label", "response_harm_label", "response_refusal_label"} (WildGuardTest's
names); the response and its two labels are null where the prompt stands alone. What the prompts are about stands in
guard_lexicon.txt, the sentences around it in guard_frames.py; both are our own writing. A seventh of the actions and
the last frames of every list are held out: a held-out row of the grammar has an unseen frame around a known action, a
known frame around an unseen action, or neither known, as its source says. The rest of the held-out set is
guard_handwritten.jsonl, written row by row, not by the grammar. Nothing but Python is needed; choices are seeded.
"""

import argparse
import dataclasses
import json
import pathlib
import random
import re
import sys
import zlib

import guard_frames as frames

HERE = pathlib.Path(__file__).parent
HELD_OUT_GRAMMAR = {"unseen-frame": (90, True, False), "unseen-action": (88, False, True), "unseen-both": (88, True, True)}
WITH_RESPONSE = 0.5


@dataclasses.dataclass
class Topic:
    name: str
    harms: list = dataclasses.field(default_factory=list)
    goods: list = dataclasses.field(default_factory=list)
    nouns: list = dataclasses.field(default_factory=list)
    questions: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Request:
    text: str
    topic: str
    intent: str  # "harm", "well-meant", "sounds harsh" or "fine"
    action: str  # the action or noun it is about, as an infinitive where there is one
    is_action: bool


def is_held_out(entry):
    """A seventh of the entries, chosen by their text."""
    return zlib.crc32(entry.encode()) % 7 == 3


def load_lexicon(held_out, path=HERE / "guard_lexicon.txt"):
    """(lists, topics) with the entries of one side of the split."""
    lists, topics = {}, []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            topics.append(Topic(line.strip("[]")))
        elif line[0] in "-+~?":
            kind = {"-": "harms", "+": "goods", "~": "nouns", "?": "questions"}[line[0]]
            if is_held_out(line) == held_out:
                getattr(topics[-1], kind).append(line[2:])
        else:
            name, entries = line.split(" = ")
            lists[name] = entries.split(" | ")
    return lists, topics


def frame_list(entries, held_out):
    cut = entries.index(frames.SPLIT)
    return entries[cut + 1 :] if held_out else entries[:cut]


DOUBLED = set("get set run hit sit cut stab rob con scam rig trap chop swim put spot plan skim drug mug stop let slip "
              "quit begin win stir forget submit whip kidnap control debug log skip slap unclog travel model".split())
IRREGULAR = {"lie": "lying"}


def gerund(action):
    """"steal a bike" -> "stealing a bike"."""
    verb, _, rest = action.partition(" ")
    if verb in ("3D", "secretly"):
        return f"{verb} {gerund(rest)}"
    if verb in IRREGULAR:
        form = IRREGULAR[verb]
    elif verb in DOUBLED:
        form = verb + verb[-1] + "ing"
    elif verb.endswith("e") and not verb.endswith("ee"):
        form = verb[:-1] + "ing"
    else:
        form = verb + "ing"
    return f"{form} {rest}".strip()


class Grammar:
    """Draws rows from one side of the split of frames and one of the split of actions."""

    def __init__(self, seed, held_out_frames=False, held_out_actions=False):
        self.random = random.Random(seed)
        self.held_out_frames = held_out_frames
        self.lists, self.topics = load_lexicon(held_out_actions)
        self.harmful = [t for t in self.topics if t.harms]
        self.nouned = [t for t in self.topics if t.nouns]
        self.harsh = next(t for t in self.topics if t.name == "harmless words")
        self.twins = [t for t in self.topics if t.goods and t.nouns]
        self.everyday = [t for t in self.topics if t.goods and not t.nouns and t is not self.harsh]

    def fill(self, text):
        """Replaces every {list} by one of its entries."""
        return re.sub(r"\{(\w+)\}", lambda m: self.random.choice(self.lists[m[1]]), text)

    def pick(self, entries):
        return self.random.choice(frame_list(entries, self.held_out_frames))

    def phrase(self, frame, action, topic=""):
        values = {"inf": action, "ger": gerund(action), "noun": action, "topic": topic, "Topic": topic.capitalize()}
        return self.fill(re.sub(r"\{(inf|ger|noun|topic|Topic)\}", lambda m: values[m[1]], frame))

    def harm(self):
        topic = self.random.choice(self.harmful)
        return topic.name, self.fill(self.random.choice(topic.harms))

    def good(self):
        pools = (self.twins, self.everyday, [self.harsh])
        topic = self.random.choice(self.random.choices(pools, (3, 4, 2))[0])
        return topic.name, self.fill(self.random.choice(topic.goods))

    def harmful_request(self):
        if self.random.random() < 0.13:
            topic = self.random.choice(self.nouned)
            noun = self.random.choice(topic.nouns)
            return Request(self.phrase(self.pick(frames.NOUN_HARM), noun), topic.name, "harm", noun, False)
        topic, action = self.harm()
        return Request(self.phrase(self.pick(frames.NEUTRAL), action), topic, "harm", action, True)

    def harmless_request(self):
        draw = self.random.random()
        if draw < 0.13:
            topic = self.random.choice(self.nouned)
            noun = self.random.choice(topic.nouns)
            return Request(self.phrase(self.pick(frames.NOUN_FINE), noun), topic.name, "well-meant", noun, False)
        if draw < 0.36:
            topic, action = self.harm()
            return Request(self.phrase(self.pick(frames.WELL_MEANT), action), topic, "well-meant", action, True)
        if draw < 0.42:
            topic = self.random.choice([t for t in self.topics if t.questions])
            return Request(self.fill(self.random.choice(topic.questions)), topic.name, "fine", "", False)
        topic, action = self.good()
        intent = "sounds harsh" if topic == self.harsh.name else "fine"
        return Request(self.phrase(self.pick(frames.NEUTRAL), action), topic, intent, action, True)

    def refusal(self, request):
        choices = [f for f in frame_list(frames.REFUSAL, self.held_out_frames)
                   if request.is_action or ("{inf}" not in f and "{ger}" not in f)]
        text = self.phrase(self.random.choice(choices), request.action, self.topic_noun(request))
        return text + self.random.choice(frames.AFTER_REFUSAL).replace("{good}", self.good()[1])

    def topic_noun(self, request):
        return request.topic if request.intent in ("harm", "well-meant") else "this"

    def compliance(self, request, helps_harm):
        """A reply that goes along; one that helps harm may do so although nobody asked for it."""
        is_about_harm = request.intent in ("harm", "well-meant")
        opening = self.random.choice(frames.OPEN_ANSWER)
        if not helps_harm and is_about_harm:
            action = request.action if request.is_action else "break the law"
            text = self.phrase(self.pick(frames.INFORMS), action, request.topic)
            return f"{opening} {text}".strip()
        action = request.action
        if not request.is_action or is_about_harm != helps_harm:
            action = (self.harm() if helps_harm else self.good())[1]
        lists = (frames.HELPS_HARM, frames.HARM_STEPS) if helps_harm else (frames.HELPS_GOOD, frames.GOOD_STEPS)
        steps = self.random.sample(frame_list(lists[1], self.held_out_frames), 2)
        text = self.pick(lists[0]).replace("{step}", steps[0]).replace("{step2}", steps[1])
        return f"{opening} {self.phrase(text, action)}".strip()

    def style(self, text):
        """A greeting, a closing word, or the careless spelling of a search box."""
        if text.endswith(("?", ".")):
            text = self.random.choice(frames.OPENERS) + text + self.random.choice(frames.CLOSERS)
        draw = self.random.random()
        if draw < 0.08:
            return text.lower().rstrip("?.!")
        return text.rstrip(".") if draw < 0.12 else text

    def row(self):
        """A row and, for training, the request's topic and intent."""
        request = self.harmful_request() if self.random.random() < 0.5 else self.harmless_request()
        harmful = request.intent == "harm"
        row = {"prompt": self.style(request.text), "response": None,
               "prompt_harm_label": "harmful" if harmful else "unharmful",
               "response_harm_label": None, "response_refusal_label": None}
        if self.random.random() < WITH_RESPONSE:
            refuses, helps_harm = self.random.choices(
                ((True, False), (False, True), (False, False)), (45, 40, 15) if harmful else (20, 25, 55))[0]
            row["response"] = self.refusal(request) if refuses else self.compliance(request, helps_harm)
            row["response_harm_label"] = "harmful" if helps_harm else "unharmful"
            row["response_refusal_label"] = "refusal" if refuses else "compliance"
        return row, request


def held_out_rows(seed=7):
    """The hand-written rows, then of every kind of the grammar as many harmful as unharmful prompts, none twice."""
    with open(HERE / "guard_handwritten.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    seen = {row["prompt"] for row in rows}
    for source, (count, held_out_frames, held_out_actions) in HELD_OUT_GRAMMAR.items():
        grammar = Grammar(seed, held_out_frames, held_out_actions)
        left = dict.fromkeys(("harmful", "unharmful"), count // 2)
        while any(left.values()):
            row, _ = grammar.row()
            if left[row["prompt_harm_label"]] and row["prompt"] not in seen:
                seen.add(row["prompt"])
                left[row["prompt_harm_label"]] -= 1
                rows.append({**row, "source": source})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", metavar="FILE", help="write the held-out set to FILE")
    parser.add_argument("--training", type=int, metavar="N", help="print N training rows")
    parser.add_argument("--seed", type=int, default=1, help="of the training rows")
    options = parser.parse_args()
    if options.held_out:
        lines = [json.dumps(row, ensure_ascii=False) for row in held_out_rows()]
        pathlib.Path(options.held_out).write_text("\n".join(lines) + "\n", encoding="utf-8")
    grammar = Grammar(options.seed)
    for _ in range(options.training or 0):
        sys.stdout.write(json.dumps(grammar.row()[0], ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
