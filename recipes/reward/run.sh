#!/bin/sh
# From public votes to a trained, calibrated, exported and measured reward model.
#     sh recipes/reward/run.sh ../shared/data runs
# The data are read where they lie (sources and licences: the card that the run writes). Config:
# minilm.toml, for a laptop; llama.toml is the same for a large backbone on several GPUs.
set -e
DATA=$1 OUT=$2
LICENCE="CC BY 4.0"
THANKS="Data was gathered using the Polis software (compdemocracy.org/polis) and is sub-licensed \
under CC BY 4.0 with Attribution to The Computational Democracy Project"
mkdir -p "$OUT"

# 1. People's votes as a dataset: an opinion is what somebody wrote and agreed with.
commonweal data import polis "$DATA"/polis/* --out "$OUT/votes" --overwrite \
    --licence "$LICENCE" --attribution "$THANKS"

# 2. Whole conversations held out: nothing below sees them before the last step.
commonweal data split "$OUT/votes" --out "$OUT/polis" --overwrite --rest train \
    --to canadian-electoral-reform=ood_test --to football-concussions=ood_test \
    --to ssis.land-bank-farmland.2rumnecbeh.2021-08-01=ood_test
commonweal data describe "$OUT/polis" --out "$OUT/datasheet.md"

# 3. Train, calibrate, export, measure. Broken off? The same command goes on.
cp "$(dirname "$0")/minilm.toml" "$OUT/minilm.toml"
commonweal train reward "$OUT/minilm.toml"

# 4. The same figures beside baselines and the shipped model.
commonweal reward measure "$OUT/minilm/runtime" "$OUT/polis" --split ood_test \
    --baselines "$OUT/polis" --plot "$OUT/minilm.svg"
commonweal reward measure first "$OUT/polis" --split ood_test
