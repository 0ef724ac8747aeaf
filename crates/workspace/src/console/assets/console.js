// The pages work without this script. It previews forms while they are filled in, copies secrets, and opens the picker.
"use strict";
(() => {
  const all = (root, selector) => [...root.querySelectorAll(selector)];

  // Focus moves to the first problem of a form, or to a notice.
  const focusFirst = () => {
    const form = document.querySelector("form[data-focus-error]");
    const field = form && form.querySelector("[aria-invalid=true], .field-error:not([hidden]) ~ input");
    const target = field || document.querySelector("[data-focus]");
    if (target) target.focus();
  };

  // A form is sent once.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => all(document, "form").forEach((form) => delete form.dataset.sent));

  // A secret does not outlive its page, not even in the cache of the back button.
  const forget = () => all(document, "[data-secret]").forEach((box) => box.remove());
  window.addEventListener("pagehide", forget);
  window.addEventListener("pageshow", (event) => { if (event.persisted) forget(); });

  const copy = (button) => {
    const field = document.getElementById(button.dataset.copy);
    const status = document.getElementById("copy-status");
    const select = () => {
      field.focus();
      field.select();
      status.textContent = "Selected. Press Ctrl+C, or Cmd+C on a Mac, to copy.";
    };
    button.hidden = false;
    const act = async () => {
      if (!window.isSecureContext || !navigator.clipboard) return select();
      try {
        await navigator.clipboard.writeText(field.value);
        status.textContent = "Copied.";
      } catch {
        select();
      }
    };
    button.addEventListener("click", act);
    field.addEventListener("focus", () => field.select());
  };

  // Rows of grants.
  const renumber = (rows) => {
    all(rows, "[data-list] > [data-row]").forEach((row, index) => {
      const old = row.querySelector("[data-remove]").value;
      if (old === String(index)) return;
      for (const element of [row, ...all(row, "*")]) {
        for (const name of ["id", "for", "aria-describedby", "data-error", "value"]) {
          const value = element.getAttribute(name);
          if (value === null || (name === "value" && !("remove" in element.dataset))) continue;
          if (name === "value") element.setAttribute(name, index);
          else element.setAttribute(name, value.replace(`grant-${old}-`, `grant-${index}-`).replace(/^grants\/\w+$/, `grants/${index}`));
        }
      }
      row.setAttribute("aria-label", `Grant ${index + 1}`);
      row.querySelector("[data-remove]").setAttribute("aria-label", `Remove grant ${index + 1}`);
    });
  };
  const kindChanged = (row) => {
    const kind = row.querySelector("[data-kind]").value;
    const source = row.querySelector("[name=grant_source]");
    row.classList.toggle("is-all", kind === "all");
    source.placeholder = { name: "carto.shared.roads or carto.shared.*", query: "SELECT * FROM carto.shared.roads", named_source: "top_stores" }[kind] || "";
    const pick = row.querySelector("[data-pick]");
    if (pick) pick.hidden = kind !== "name";
  };
  const grants = (rows, changed) => {
    const list = rows.querySelector("[data-list]");
    rows.addEventListener("click", (event) => {
      const button = event.target.closest("[data-add], [data-remove]");
      if (!button) return;
      event.preventDefault();
      if ("add" in button.dataset) {
        const row = rows.querySelector("template").content.firstElementChild.cloneNode(true);
        const last = list.lastElementChild;
        if (last) row.querySelector("[name=grant_connection]").value = last.querySelector("[name=grant_connection]").value;
        list.append(row);
        renumber(rows);
        kindChanged(row);
        row.querySelector("[name=grant_source]").focus();
      } else {
        const row = button.closest("[data-row]");
        const next = row.nextElementSibling || row.previousElementSibling;
        row.remove();
        renumber(rows);
        (next ? next.querySelector("[name=grant_source]") : rows.querySelector("[data-add]")).focus();
      }
      changed();
    });
    rows.addEventListener("change", (event) => {
      if ("kind" in event.target.dataset) kindChanged(event.target.closest("[data-row]"));
    });
    all(list, "[data-row]").forEach(kindChanged);
  };

  // `imports` has no other API.
  const exclusive = (box) => box.addEventListener("change", (event) => {
    const changed = event.target;
    if (!changed.checked) return;
    for (const other of all(box, "input")) {
      if (other !== changed && (changed.value === "imports" || other.value === "imports")) other.checked = false;
    }
  });

  // Texts in backticks are code, as the server shows them. Without its partner, a backtick is only a character.
  const prose = (text) => {
    const parts = text.split("`");
    if (parts.length % 2 === 0) return [text];
    return parts.map((part, at) => {
      if (at % 2 === 0) return part;
      const code = document.createElement("code");
      code.textContent = part;
      return code;
    });
  };

  const preview = (form) => {
    const save = all(form, "[data-save]");
    const status = form.querySelector("[data-status]");
    const touched = new Set();
    let timer, running, wasValid = null;
    all(form, "[data-check]").forEach((button) => { button.hidden = true; });
    const slotOf = (field) => {
      const row = field.closest("[data-row]");
      if (row) return row.querySelector("[data-error]").dataset.error;
      return { api: "apis", custom: "expiration" }[field.name] || field.name;
    };
    const show = (answer) => {
      all(form, "[data-error]").forEach((slot) => {
        const text = answer.errors[slot.dataset.error] || "";
        // A field that the user has not reached yet has no error, but the form is not valid.
        const isShown = text !== "" && (touched.has(slot.dataset.error) || touched.has("*") || slot.dataset.error === "form");
        slot.replaceChildren(...(isShown ? prose(text) : []));
        slot.hidden = !isShown;
        all(form, `[aria-describedby~="${CSS.escape(slot.id)}"]`).forEach((field) => {
          if (!("rows" in field.dataset) && field.tagName !== "FIELDSET") field.toggleAttribute("aria-invalid", isShown);
          if (isShown && field.hasAttribute("aria-invalid")) field.setAttribute("aria-invalid", "true");
        });
      });
      save.forEach((button) => { button.disabled = !answer.valid; });
      if (answer.valid !== wasValid && status) {
        status.textContent = answer.valid ? "The form is valid." : "The form is not complete yet.";
        wasValid = answer.valid;
      }
      if (answer.aside !== null) form.querySelector("[data-aside]").innerHTML = answer.aside;
      if (answer.decision !== null) form.querySelector("#decision").innerHTML = answer.decision;
    };
    const ask = async () => {
      if (running) running.abort();
      const controller = running = new AbortController();
      form.setAttribute("aria-busy", "true");
      try {
        const body = new URLSearchParams(new FormData(form));
        const answer = await fetch(form.dataset.preview, { method: "POST", body, signal: controller.signal, credentials: "same-origin" });
        if (!answer.ok || answer.redirected) throw new Error("not answered");
        show(await answer.json());
      } catch (error) {
        if (error.name === "AbortError") return;
        // The server checks the form again when it is sent.
        save.forEach((button) => { button.disabled = false; });
        if (status) status.textContent = "The preview is not available. The form is checked when you save it.";
      }
      if (running === controller) form.removeAttribute("aria-busy");
    };
    const changed = () => { clearTimeout(timer); timer = setTimeout(ask, 200); };
    form.addEventListener("input", changed);
    form.addEventListener("change", (event) => { touched.add(slotOf(event.target)); changed(); });
    form.addEventListener("focusout", (event) => { if (event.target.value) touched.add(slotOf(event.target)); });
    all(form, "[data-apis]").forEach(exclusive);
    all(form, "[data-rows]").forEach((rows) => grants(rows, changed));
    if (form.hasAttribute("data-focus-error")) touched.add("*");
    ask();
    return changed;
  };

  // The source picker: a tree, and names that contain a text.
  const picker = (form, changed) => {
    let row, timer, asked = 0, path = "";
    const dialog = document.createElement("dialog");
    dialog.className = "picker";
    dialog.setAttribute("aria-labelledby", "picker-title");
    dialog.innerHTML = `<div class="picker-head"><h2 id="picker-title">Choose a source</h2><button type="button" class="quiet" data-close>Close</button></div>
      <div class="field"><label for="picker-text">Search</label><input id="picker-text" type="text" autocomplete="off" spellcheck="false" maxlength="500"></div>
      <div class="picker-path"><button type="button" class="small" data-up>Up</button> <code data-path></code> <button type="button" class="small" data-every>Grant every name here</button></div>
      <ul class="tree" data-found aria-label="Sources"></ul><p class="hint" role="status" aria-live="polite" data-count></p>`;
    document.body.append(dialog);
    const part = (name) => dialog.querySelector(`[data-${name}]`);
    const text = dialog.querySelector("#picker-text");
    const choose = (name) => {
      const source = row.querySelector("[name=grant_source]");
      source.value = name;
      dialog.close();
      source.focus();
      source.dispatchEvent(new Event("change", { bubbles: true }));
      changed();
    };
    const item = (label, count, act) => {
      const li = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.className = "quiet";
      button.textContent = label;
      button.addEventListener("click", act);
      li.append(button);
      if (count) {
        const span = document.createElement("span");
        span.className = "soft";
        span.textContent = count.toLocaleString("en");
        li.append(" ", span);
      }
      return li;
    };
    // Characters that readers cannot see are shown as escapes; the chosen name has the characters.
    const visible = (name) => name.replace(/[\p{Cc}\p{Cf}\u2028\u2029\u115f\u1160\u3164\uffa0\u2800]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
    const ask = async (after) => {
      const number = ++asked;
      const query = new URLSearchParams({ connection: row.querySelector("[name=grant_connection]").value, q: text.value, path });
      if (after) query.set("after", after);
      let found;
      try {
        const answer = await fetch(`${row.querySelector("[data-pick]").getAttribute("href")}/search?${query}`, { credentials: "same-origin" });
        if (!answer.ok) throw new Error("not answered");
        found = await answer.json();
      } catch {
        part("count").textContent = "The catalog is not available.";
        return;
      }
      if (number !== asked) return;
      const list = part("found");
      if (!after) list.replaceChildren();
      list.querySelector("[data-more]")?.remove();
      for (const name of found.names) list.append(item(visible(name), 0, () => choose(name)));
      for (const step of found.steps) {
        list.append(step.names
          ? item(`${visible(step.label)}.`, step.names, () => { path = step.path; text.value = ""; ask(); text.focus(); })
          : item(visible(step.label), 0, () => choose(step.path)));
      }
      if (found.more) {
        const more = item("More", 0, () => ask(found.more));
        more.dataset.more = "";
        list.append(more);
      }
      const count = found.names.length + found.steps.length;
      part("count").textContent = found.doubt ? found.doubt : count === 0 ? "No name matches." : found.names.length >= 100 ? "The first 100 names. Type more to narrow them." : `${count} shown.`;
      part("path").textContent = visible(path);
      part("up").hidden = path === "";
      part("every").hidden = path === "" || text.value !== "";
    };
    text.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 60); });
    part("close").addEventListener("click", () => dialog.close());
    part("up").addEventListener("click", () => { path = path.slice(0, -1).replace(/[^.]*$/, ""); ask(); text.focus(); });
    part("every").addEventListener("click", () => choose(`${path}*`));
    dialog.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
      const stops = [text, ...all(part("found"), "button")];
      const at = stops.indexOf(document.activeElement);
      const next = stops[at + (event.key === "ArrowDown" ? 1 : -1)];
      if (next) { event.preventDefault(); next.focus(); }
    });
    form.addEventListener("click", (event) => {
      const link = event.target.closest("[data-pick]");
      if (!link) return;
      event.preventDefault();
      row = link.closest("[data-row]");
      path = "";
      text.value = row.querySelector("[name=grant_source]").value.replace(/\*+$/, "");
      dialog.showModal();
      text.select();
      ask();
    });
  };

  all(document, "[data-copy]").forEach(copy);
  all(document, "form:not([data-preview])").forEach((form) => {
    all(form, "[data-apis]").forEach(exclusive);
    all(form, "[data-rows]").forEach((rows) => grants(rows, () => {}));
  });
  all(document, "form[data-preview]").forEach((form) => picker(form, preview(form)));
  focusFirst();
})();
