"""The text the bundled demo model is trained on, read from two folders anyone can get.

* The Rust documentation as HTML (`rustup component add rust-docs`; the folder is
  `$(rustc --print sysroot)/share/doc/rust/html`). Only books whose prose is MIT OR Apache-2.0 are read;
  the Embedded Rust Book is left out because its prose is CC-BY-SA-4.0.
* tinyshakespeare, one plain text file of plays in the public domain
  (github.com/karpathy/char-rnn, data/tinyshakespeare/input.txt).

A page becomes one document of Markdown-like text. Paragraphs that occur twice anywhere are kept once, over
all documents, so that nothing in the held-out part was seen in training.
"""

import dataclasses
import hashlib
import html.parser
import pathlib
import random
import re

# Name -> how its pages are laid out. Translations and the old editions kept as redirects are skipped.
BOOKS = {
    "book": "mdbook",
    "reference": "mdbook",
    "rust-by-example": "mdbook",
    "nomicon": "mdbook",
    "cargo": "mdbook",
    "rustc": "mdbook",
    "rustdoc": "mdbook",
    "edition-guide": "mdbook",
    "style-guide": "mdbook",
    "error_codes": "mdbook",
    "clippy": "mdbook",
    "unstable-book": "mdbook",
    "std": "rustdoc",
}
SKIPPED_FOLDERS = {"es", "ja", "ko", "zh", "2018-edition", "first-edition", "second-edition", "arch", "simd"}
SKIPPED_PAGES = {"print.html", "toc.html", "SUMMARY.html", "all.html", "404.html"}

# Pages that differ from a sibling only in the width of a number; one of each family stays (i32, u32, f32, AtomicBool).
SIBLING_PAGE = re.compile(
    r"(primitive\.([iu](8|16|64|128|size)|f(16|64|128))"
    r"|struct\.Atomic[IU](8|16|32|64|size)|type\.NonZero\w+)\.html"
)

SKIPPED_TAGS = {"script", "style", "svg", "button", "nav", "summary-hint", "rustdoc-toolbar"}
SKIPPED_CLASSES = {
    "boring", "rule", "grammar-railroad", "grammar-container", "since", "src", "anchor", "doc-anchor", "tooltip",
    "test-arrow", "where", "sidebar-toggle", "footnote-reference",
}
# Lists that repeat the same few sentences on every API page.
SKIPPED_IDS = {"trait-implementations-list", "synthetic-implementations-list", "blanket-implementations-list"}
VOID_TAGS = {"br", "hr", "img", "input", "meta", "link", "wbr", "source", "col"}
BLOCK_TAGS = {"p", "div", "ul", "ol", "table", "tr", "section", "blockquote", "dl", "dt", "dd", "details", "summary"}
ASCII_PUNCTUATION = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "…": "...", "\u00a0": " ", "–": "-"})


@dataclasses.dataclass
class Document:
    """One page or one run of speeches: `blocks` are paragraphs, headings ("# ...") and fenced code."""

    source: str
    name: str
    blocks: list

    def text(self):
        text = self.blocks[0] if self.blocks else ""
        for before, block in zip(self.blocks, self.blocks[1:]):
            same_list = before.startswith("- ") and block.startswith("- ")
            same_table = " | " in before and " | " in block and "\n" not in before + block
            text += ("\n" if same_list or same_table else "\n\n") + block
        return text


class PageReader(html.parser.HTMLParser):
    """Turns a page into blocks; only what lies inside an element accepted by `wanted(tag, classes)` is read."""

    def __init__(self, wanted):
        super().__init__(convert_charrefs=True)
        self.wanted = wanted
        self.blocks = []
        self.open_tags = []  # (tag, starts_capture, starts_skip)
        self.capture_depth = 0
        self.skip_depth = 0
        self.in_pre = False
        self.prefix = ""
        self.inline = []

    def handle_starttag(self, tag, attrs):
        if tag in VOID_TAGS:
            if tag == "br":
                self.inline.append("\n" if self.in_pre else " ")
            return
        attributes = dict(attrs)
        classes = set((attributes.get("class") or "").split())
        capture = self.wanted(tag, classes)
        skip = tag in SKIPPED_TAGS or bool(classes & SKIPPED_CLASSES) or attributes.get("id") in SKIPPED_IDS
        self.open_tags.append((tag, capture, skip))
        self.capture_depth += capture
        self.skip_depth += skip
        if self.skip_depth or not self.capture_depth:
            return
        if tag in BLOCK_TAGS or tag in ("pre", "li") or re.fullmatch("h[1-6]", tag):
            self.finish_block()
        if tag == "pre":
            self.in_pre = True
        elif tag == "li":
            self.prefix = "- "
        elif re.fullmatch("h[1-6]", tag):
            self.prefix = "#" * int(tag[1]) + " "
        elif tag in ("td", "th") and self.inline:
            self.inline.append(" | ")
        elif tag == "code" and not self.in_pre:
            self.inline.append("`")

    def handle_endtag(self, tag):
        if tag in VOID_TAGS or tag not in (entry[0] for entry in self.open_tags):
            return
        while self.open_tags:
            closed, capture, skip = self.open_tags.pop()
            if self.capture_depth and not self.skip_depth:
                self.close_element(closed)
            self.capture_depth -= capture
            self.skip_depth -= skip
            if closed == tag:
                return

    def close_element(self, tag):
        if tag == "code" and not self.in_pre:
            self.inline.append("`")
        elif tag in BLOCK_TAGS or tag in ("pre", "li", "main") or re.fullmatch("h[1-6]", tag):
            self.finish_block()

    def handle_data(self, data):
        if self.capture_depth and not self.skip_depth:
            self.inline.append(data)

    def finish_block(self):
        text = "".join(self.inline).translate(ASCII_PUNCTUATION)
        self.inline = []
        if self.in_pre:
            self.in_pre = False
            text = "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))
            if text.strip():
                self.blocks.append(f"```\n{text}\n```")
            return
        text = re.sub(r"\s+", " ", text).strip()
        if text:
            self.blocks.append(self.prefix + text)
            self.prefix = ""


def read_mdbook_page(markup):
    reader = PageReader(lambda tag, classes: tag == "main")
    reader.feed(markup)
    return reader.blocks


def read_rustdoc_page(markup):
    """The prose of an API page: the item's name, then each signature with its own documentation."""
    is_title = {"h1": lambda classes: True, "h4": lambda classes: "code-header" in classes}
    reader = PageReader(lambda tag, classes: "docblock" in classes or (tag in is_title and is_title[tag](classes)))
    reader.feed(markup)
    return [b for b in reader.blocks if not b.endswith("Read more") and not (b.startswith("#### ") and len(b) > 160)]


def read_rust_documents(html_folder):
    readers = {"mdbook": read_mdbook_page, "rustdoc": read_rustdoc_page}
    documents = []
    for book, layout in BOOKS.items():
        folder = pathlib.Path(html_folder) / book
        if not folder.is_dir():
            raise SystemExit(f"{folder}: missing; install it with `rustup component add rust-docs`")
        for page in sorted(folder.rglob("*.html")):
            inner = page.relative_to(folder)
            if page.name in SKIPPED_PAGES or SIBLING_PAGE.fullmatch(page.name):
                continue
            if set(inner.parts[:-1]) & SKIPPED_FOLDERS:
                continue
            blocks = readers[layout](page.read_text(encoding="utf-8"))
            documents.append(Document("rust", f"{book}/{inner}", blocks))
    return documents


def read_plays(path, chars_per_document=4000):
    """Cuts the plays into documents at blank lines between speeches; a speech is one block."""
    documents, blocks, size = [], [], 0
    for speech in pathlib.Path(path).read_text(encoding="utf-8").split("\n\n"):
        if not speech.strip():
            continue
        blocks.append(speech.strip())
        size += len(speech)
        if size >= chars_per_document:
            documents.append(Document("plays", f"plays/{len(documents):04d}", blocks))
            blocks, size = [], 0
    if blocks:
        documents.append(Document("plays", f"plays/{len(documents):04d}", blocks))
    return documents


def drop_repeated_blocks(documents, shortest_kept=150):
    """Removes every later copy of a block, and documents that are nearly empty after that."""
    seen, kept = set(), []
    for document in documents:
        fresh = []
        for block in document.blocks:
            key = hashlib.sha256(re.sub(r"\W+", " ", block).lower().encode()).digest()
            if len(block) >= 40 and key in seen:
                continue
            seen.add(key)
            if block.startswith("#### ") and fresh and fresh[-1].startswith("#### "):
                fresh.pop()  # a signature whose own documentation was a repetition
            fresh.append(block)
        while fresh and fresh[-1].startswith("#"):
            fresh.pop()
        document.blocks = fresh
        if len(document.text()) >= shortest_kept:
            kept.append(document)
    return kept


def split_held_out(documents, share=0.04, seed=20240229):
    """Held out: a seeded choice of Rust pages, and the last run of plays (so that no scene is in both)."""
    rust = [d for d in documents if d.source == "rust"]
    plays = [d for d in documents if d.source == "plays"]
    random.Random(seed).shuffle(rust)
    n_rust, n_plays = round(len(rust) * share), round(len(plays) * share)
    return rust[n_rust:] + plays[: len(plays) - n_plays], rust[:n_rust] + plays[len(plays) - n_plays :]


def load_corpus(html_folder, plays_path):
    """Returns (training documents, held-out documents)."""
    return split_held_out(drop_repeated_blocks(read_rust_documents(html_folder) + read_plays(plays_path)))
