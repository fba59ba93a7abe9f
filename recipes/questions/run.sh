#!/bin/sh
# Paper 3.1, whole: seeds -> generate -> screen -> split. Run it again to go on where it stopped.
#
#   BY=NAME MODEL=openai:BASE_URL#MODEL recipes/questions/run.sh FOLDER
#
# BY is whoever reads the questions: every decision is kept with that name.
set -eu
folder=${1:?"usage: recipes/questions/run.sh FOLDER"}
mkdir -p "$folder"

# "We prompt the model with 10 sampled seed questions ... until 3,500 unique ones" (3.1).
if [ ! -e "$folder/questions.csv" ]; then
  commonweal questions generate "$folder/questions.csv" \
    --seeds "${SEEDS:-uk}" --target "${TARGET:-3500}" --with-seeds \
    --model "${MODEL:-embedded}" --seed "${SEED:-0}"
fi

# "Questions likely to elicit extremist or discriminatory views are screened out" (3.1): by people.
# Ends here with an error, and says so, while a question has no decision.
if [ ! -e "$folder/kept.csv" ]; then
  : "${BY:?"expected BY=NAME: the person who screens; a decision is somebody's"}"
  commonweal questions screen "$folder/questions.csv" --by "$BY"
  commonweal questions screen "$folder/questions.csv" --out "$folder/kept.csv"
fi

# "k-means into 110 topics; whole topics held out" (3.1).
commonweal questions split "$folder/kept.csv" --out "$folder/split.csv" \
  -k "${CLUSTERS:-110}" --seed "${SEED:-0}" --report "$folder/split.html" --overwrite
