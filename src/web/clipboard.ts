/**
 * Copies `text`; call it for a key or a click. By the old way, as `navigator.clipboard` is only there
 * on pages that came over TLS or from this machine.
 */
export function copyText(text: string): void {
  if (text === "") return;
  const put = (event: ClipboardEvent) => {
    event.clipboardData?.setData("text/plain", text);
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  document.addEventListener("copy", put, { capture: true });
  // oxlint-disable-next-line typescript/no-deprecated -- there is no other way without a secure origin
  document.execCommand("copy");
  document.removeEventListener("copy", put, { capture: true });
}
