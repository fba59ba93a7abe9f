"""From three opinions to a statement, after
`commonweal models pull smollm2-135m-instruct all-minilm-l6-v2`.
"""

from commonweal import find_agreement

result = find_agreement(
    "Should local buses be free for everyone?",
    [
        "I can't drive, and the fares eat up my wages. Make them free.",
        "Nothing is free. People like me, who have no bus at all, would pay for it.",
        "Free for children and pensioners. The rest of us can pay a little.",
    ],
    model="embedded:small",  # quick to try; left out, a larger model writes better
    n_candidates=8,
    seed=1,
)
print(result.statement or result.reason)
if result.closest_index is not None:
    print(f"welfare {result.welfare[result.closest_index]:.2f} of 7, by {result.welfare_name}")
for dissent in result.dissent:
    print(f"{dissent.participant_id} is predicted to disagree: {dissent.expected_rating:.2f}")
print("for the least satisfied:", result.under("rawlsian").statement)
