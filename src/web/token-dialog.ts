import { keepToken } from "./address.ts";
import { askText } from "./dialog.ts";
import type { Link } from "./link.ts";

/** Asks for the token whenever a call was refused for want of it; `onGiven` tries again. */
export function askForToken(link: Link, onGiven: () => void): void {
  let isAsking = false;
  link.on("refused", () => {
    if (isAsking) return;
    isAsking = true;
    void ask();
  });
  const ask = async () => {
    const isGiven = await askOnce(link);
    isAsking = false;
    if (isGiven) onGiven();
  };
}

async function askOnce(link: Link): Promise<boolean> {
  const text =
    link.token === undefined
      ? "This agent wants an access token. thaw serve prints it as a part of the address to open."
      : "The agent does not know this access token. It may have been started anew since.";
  const token = await askText("Access token", {
    text,
    label: "Access token",
    submit: "Open",
    isSecret: true,
  });
  if (token === undefined) return false;
  keepToken(token);
  link.token = token;
  return true;
}
