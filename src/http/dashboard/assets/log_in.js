import { html, useState } from "./html.js";

/** The token stays in this tab: it is gone when the tab is closed. */
export function LogIn({ site }) {
  const [token, setToken] = useState("");
  const [refusal, setRefusal] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const shown = refusal ?? site.state.refusal;
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setRefusal(null);
    try {
      await site.logIn(token.trim());
    } catch (error) {
      setRefusal(error.hint ? `${error.message}. ${error.hint}.` : error.message);
    } finally {
      setBusy(false);
    }
  };
  return html`
    <main class="log-in">
      <h1>Causeway</h1>
      <form onSubmit=${submit}>
        <label for="token">Token of this gateway's API</label>
        <input
          id="token" type="password" autocomplete="off" required autofocus value=${token}
          aria-describedby="token-help"
          onInput=${(event) => setToken(event.currentTarget.value)}
        />
        <p id="token-help" class="quiet">
          From <code>causeway token create</code>, or the file <code>api-token</code> that
          <code> init</code> made.
        </p>
        <button class="main" disabled=${isBusy}>Log in</button>
        ${shown && html`<p role="alert" class="note bad">${shown}</p>`}
      </form>
    </main>
  `;
}
