const copy = document.getElementById("copy");
const print = document.getElementById("print");
copy.hidden = print.hidden = false;
print.addEventListener("click", () => window.print());
copy.addEventListener("click", async () => {
  const text = document.querySelector("blockquote").innerText;
  try {
    await navigator.clipboard.writeText(text);
    copy.textContent = "Copied";
  } catch {
    // A page opened from a file may not write there: the text is marked, to be copied by hand.
    getSelection().selectAllChildren(document.querySelector("blockquote"));
    copy.textContent = "Marked: press Ctrl-C";
  }
});
