#!/usr/bin/env bash
# Tokens per second of 1, 2, 4 … sequences that decode together, alternating over rounds.
#   bench/batch.sh ASSAY FILE.gguf [TOKENS] [ROUNDS]
# Prints one line a run: sequences, tokens/s of all together, tokens/s of the first, hash of the first answer's logits
# (the same in every line).
set -euo pipefail
assay=$1 model=$2 tokens=${3:-48} rounds=${4:-3}
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
for ((round = 0; round < rounds; ++round)); do
  for batch in 1 2 4 8 12 16 32; do
    : > "$folder/prompts"
    for ((i = 0; i < batch; ++i)); do echo "It was number $i of the day" >> "$folder/prompts"; done
    "$assay" generate "$model" --prompts "$folder/prompts" --batch "$batch" --max-tokens "$tokens" \
      --no-chat-template --json 2> /dev/null > "$folder/answers"
    python3 - "$folder/answers" << 'PYTHON'
import json, sys
document = json.load(open(sys.argv[1]))
answers = document.get("results", [document])
rate = sum(a["decode_tok_s"] for a in answers)
print(f"{len(answers):3} sequences  {rate:8.1f} tok/s together  {answers[0]['decode_tok_s']:6.1f} each  "
      f"{answers[0]['generated_tokens']} tokens  {answers[0]['logits_hash']}")
PYTHON
  done
done
