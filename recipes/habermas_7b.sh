#!/usr/bin/env sh
# The public human dataset (Tessler et al. 2024) on an open 7B model, with the paper's settings
# (Bakker et al. 2022) beside ours. NOT RUN HERE: it needs the download, a model hub, and GPUs. What
# to expect: 4 GPUs of 80 GB; by the paper's step counts some hours, most of them the reward model.
#   sh recipes/habermas_7b.sh DATA OUT
set -eu
here=$(dirname "$0")/habermas_7b
data=$1
out=$2
mkdir -p "$out"

# 1. People's opinions, candidates and ratings, in the record format (sizes and hashes are checked).
commonweal data fetch habermas-machine --to "$data"
commonweal data import habermas-machine "$data" --out "$out/rounds" --overwrite

# 2. Questions held out whole: a tenth of them (paper 3.1: 602 of 2,922, half of them whole topics).
commonweal data split "$out/rounds" --out "$out/split" --iid-test 0.1 --again --overwrite
commonweal data describe "$out/split" --out "$out/datasheet.md"

# 3. The policy (3.4 step 2): 200 steps on statements of mean quality from 6 of 7, all weights.
cp "$here/sft.toml" "$here/reward.toml" "$out"
torchrun --nproc-per-node 4 -m commonweal train sft "$out/sft.toml"

# 4. The reward model (3.4 step 3): 1,500 steps on comparisons within people.
torchrun --nproc-per-node 4 -m commonweal train reward "$out/reward.toml"

# 5. Serve the policy, and use both. Evaluation needs people: `commonweal study new`.
echo "vllm serve $out/sft/policy --served-model-name sft"
echo "commonweal agree GROUP.toml --policy $out/sft/policy \\"
echo "    --model openai:http://localhost:8000/v1#sft --reward-model $out/reward/runtime"
