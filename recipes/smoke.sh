#!/usr/bin/env sh
# The whole loop in minutes on two processor cores, with simulated people: generate, rate, fine-tune,
# train a reward model, again, and evaluate. From anywhere in the repository:
#   sh recipes/smoke.sh
# What each step does is in smoke.toml. The table at its end is of simulated people's ratings.
set -eu
here=$(dirname "$0")
commonweal models pull
commonweal iterate "$here/smoke.toml"
commonweal iterate status "$here/smoke.toml"
