// The npm `openai` package, unmodified, against a running service:
//     npm install openai && node tools/check_npm_sdk.mjs http://127.0.0.1:8000/v1
import OpenAI, { toFile } from "openai";
import assert from "node:assert/strict";

const client = new OpenAI({ apiKey: "any", baseURL: process.argv[2], maxRetries: 0 });
const small = { seconds: "0.2", size: "64x64" };
const poll = async (id) => {
  for (;;) {
    const video = await client.videos.retrieve(id);
    if (video.status === "completed" || video.status === "failed") return video;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
};

const made = await poll((await client.videos.create({ prompt: "a red ball rolls", ...small })).id);
assert.equal(made.status, "completed");
const content = Buffer.from(await (await client.videos.downloadContent(made.id)).arrayBuffer());
assert.equal(content.subarray(4, 8).toString(), "ftyp");
const sheet = await client.videos.downloadContent(made.id, { variant: "spritesheet" });
assert.equal(sheet.headers.get("content-type"), "image/jpeg");
const clip = await toFile(content, "clip.mp4");
const still = await toFile(Buffer.from(await (await client.videos.downloadContent(made.id, { variant: "thumbnail" })).arrayBuffer()), "a.webp");
const asked = [
  await client.videos.remix(made.id, { prompt: "a blue ball rolls" }),
  await client.videos.edit({ prompt: "a green ball", video: clip }),
  await client.videos.edit({ prompt: "a green ball", video: { id: made.id } }),
  await client.videos.extend({ prompt: "it rolls on", seconds: "0.4", video: { id: made.id } }),
  await client.videos.create({ prompt: "it begins", input_reference: still, ...small }),
];
for (const video of asked) assert.equal((await poll(video.id)).status, "completed");
const character = await client.videos.createCharacter({ name: "Ruby", video: await toFile(content, "clip.mp4") });
assert.equal((await client.videos.getCharacter(character.id)).name, "Ruby");
const listed = [];
for await (const video of client.videos.list({ limit: 2, order: "asc" })) listed.push(video.id);
for (const video of [made, ...asked]) assert.ok(listed.includes(video.id));
assert.deepEqual((await client.videos.delete(made.id)).deleted, true);
await assert.rejects(client.videos.retrieve(made.id), OpenAI.NotFoundError);
console.log(`ok: ${listed.length} videos listed`);
