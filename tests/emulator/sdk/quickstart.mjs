// Sections of the quickstart with the vendor's JavaScript client: node quickstart.mjs BASE_URL PICTURE_FILE CLIENT_MODULE.
// Prints one JSON line for each section: its name and what went wrong, null if nothing did.
import assert from "node:assert/strict";
import { stat } from "node:fs/promises";

const [url, picture, module] = process.argv.slice(2);
const { GoogleGenAI } = await import(module);
const client = new GoogleGenAI({ apiKey: "any-key", httpOptions: { baseUrl: url } });
const model = "gemini-3.5-flash";
const temperature = {
  type: "function",
  name: "get_current_temperature",
  description: "Gets the current temperature for a given location.",
  parameters: {
    type: "object",
    properties: { location: { type: "string", description: "The city name" } },
    required: ["location"],
  },
};

const textOf = (interaction) =>
  interaction.steps.flatMap((step) => step.content ?? []).map((block) => block.text ?? "").join("");

const sections = {
  async text() {
    const done = await client.interactions.create({ model, input: "Explain how AI works in a few words" });
    assert.equal(done.status, "completed");
    assert.ok(textOf(done));
  },
  async streaming() {
    const kinds = [];
    let text = "";
    for await (const event of await client.interactions.create({ model, input: "Explain AI", stream: true })) {
      kinds.push(event.event_type);
      if (event.delta?.type === "text") text += event.delta.text;
    }
    assert.equal(kinds[0], "interaction.created");
    assert.equal(kinds.at(-1), "interaction.completed");
    assert.ok(text);
  },
  async function_calling() {
    const input = "What is the temperature in London?";
    const asked = await client.interactions.create({ model, input, tools: [temperature] });
    assert.equal(asked.status, "requires_action");
    const call = asked.steps.find((step) => step.type === "function_call");
    assert.deepEqual(call.arguments, { location: "London" });
    const result = [{ type: "text", text: JSON.stringify({ temperature: "22", unit: "celsius" }) }];
    const answer = { type: "function_result", name: call.name, call_id: call.id, result };
    const more = { model, previous_interaction_id: asked.id, input: [answer], tools: [temperature] };
    assert.equal((await client.interactions.create(more)).status, "completed");
  },
  async background() {
    const created = await client.interactions.create({ model, input: "Write an analysis.", background: true });
    assert.equal(created.status, "in_progress");
    let done = created;
    while (done.status === "in_progress") done = await client.interactions.get(created.id);
    assert.equal(done.status, "completed");
    assert.ok(textOf(done));
  },
  async files() {
    const uploaded = await client.files.upload({ file: picture, config: { mimeType: "image/png" } });
    assert.equal(uploaded.state, "ACTIVE");
    const block = { type: "image", uri: uploaded.uri, mime_type: uploaded.mimeType };
    const done = await client.interactions.create({ model, input: [{ type: "text", text: "What is it?" }, block] });
    assert.equal(done.status, "completed");
    const known = await client.files.get({ name: uploaded.name });
    assert.equal(Number(known.sizeBytes), (await stat(picture)).size);
    await client.files.delete({ name: uploaded.name });
    await assert.rejects(client.files.get({ name: uploaded.name }));
  },
};

for (const [section, run] of Object.entries(sections)) {
  let problem = null;
  try {
    await run();
  } catch (error) {
    problem = error.stack ?? String(error);
  }
  console.log(JSON.stringify({ section, problem }));
}
