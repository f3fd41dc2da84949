"""Question-and-answer pairs cut from the training documents, so that the chat template means something."""

import random
import re

QUESTIONS = ("What is {}?", "Explain {}.", "Tell me about {}.", "Can you describe {}?", "{}")
SYSTEM_PROMPTS = ("You are a helpful assistant.", "You answer questions about Rust.")


def is_prose(block):
    return not block.startswith(("#", "```", "- ")) and " | " not in block and len(block) >= 60


def sections(document):
    """Yields (heading, first paragraphs of prose, at most about 600 characters)."""
    heading, answer = None, []
    for block in document.blocks + ["# "]:
        if block.startswith("#"):
            if heading and answer:
                yield heading, "\n\n".join(answer)
            heading, answer = block.lstrip("# ").strip(), []
        elif heading and is_prose(block) and len(answer) < 2 and sum(map(len, answer)) + len(block) <= 600:
            answer.append(block)


def question_about(heading, generator):
    signature = re.search(r"\bfn (\w+)", heading)
    if signature:
        return f"What does `{signature.group(1)}` do?"
    if heading.endswith("?"):
        return heading
    topic = re.sub(r"^(Struct|Trait|Enum|Module|Macro|Keyword|Primitive Type) ", r"the \1 ", heading)
    return generator.choice(QUESTIONS).format(topic)


def speeches(document):
    for block in document.blocks:
        name, _, speech = block.partition(":\n")
        if speech and "\n" not in name and 60 <= len(speech) <= 600:
            yield f"Speak as {name.title()}.", speech


def build_chats(documents, seed=1):
    """Returns a list of message lists (optional system, user, assistant) in a seeded order."""
    generator = random.Random(seed)
    chats = []
    for document in documents:
        if document.source == "plays":
            pairs = list(speeches(document))[:4]
        else:
            pairs = [(question_about(h, generator), a) for h, a in sections(document) if 3 <= len(h) <= 120]
        for question, answer in pairs:
            messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            if generator.random() < 0.2:
                messages.insert(0, {"role": "system", "content": generator.choice(SYSTEM_PROMPTS)})
            chats.append(messages)
    generator.shuffle(chats)
    return chats
