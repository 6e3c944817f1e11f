// Every method of `client.videos` of the npm package `openai`, against a running service: node npm_sdk.mjs URL EVENT
import assert from "node:assert/strict";
import OpenAI, { toFile } from "openai";

const [url, event] = process.argv.slice(2);
const client = new OpenAI({ apiKey: "any", baseURL: url, maxRetries: 0 });
const small = { prompt: "a red ball rolls", seconds: "0.2", size: "64x64" };

async function finished(video) {
  for (let left = 6000; left > 0 && ["queued", "in_progress"].includes(video.status); left--) {
    await new Promise((done) => setTimeout(done, 100));
    video = await client.videos.retrieve(video.id);
  }
  assert.equal(video.status, "completed", JSON.stringify(video.error));
  return video;
}

const made = await finished(await client.videos.create(small));
assert.equal(made.progress, 100);
assert.equal(made.size, "64x64");

const kinds = { video: "video/mp4", thumbnail: "image/webp", spritesheet: "image/jpeg" };
for (const [variant, kind] of Object.entries(kinds)) {
  const content = await client.videos.downloadContent(made.id, { variant });
  assert.equal(content.headers.get("content-type"), kind);
}
const clip = Buffer.from(await (await client.videos.downloadContent(made.id)).arrayBuffer());
assert.equal(clip.toString("latin1", 4, 8), "ftyp");

const picture = Buffer.from(await (await client.videos.downloadContent(made.id, { variant: "spritesheet" })).arrayBuffer());
const upload = () => toFile(clip, "clip.mp4", { type: "video/mp4" });
const asked = [
  await client.videos.create({ ...small, input_reference: await toFile(picture, "a.jpg", { type: "image/jpeg" }) }),
  await client.videos.remix(made.id, { prompt: "a blue ball" }),
  await client.videos.edit({ prompt: "a green ball", video: await upload() }),
  await client.videos.extend({ prompt: "it rolls on", seconds: "0.2", video: await upload() }),
];
for (const video of asked) await finished(video);
assert.equal(asked[1].remixed_from_video_id, made.id);

const character = await client.videos.createCharacter({ name: "Ruby", video: await upload() });
assert.equal((await client.videos.getCharacter(character.id)).name, "Ruby");

const ids = { asc: [], desc: [] };
for (const order of ["asc", "desc"]) {
  for await (const video of client.videos.list({ order, limit: 2 })) ids[order].push(video.id);
}
assert.deepEqual(ids.asc, ids.desc.toReversed?.() ?? [...ids.desc].reverse());
for (const video of [made, ...asked]) assert.ok(ids.asc.includes(video.id));

const raw = await client.videos.retrieve(made.id).withResponse();
assert.match(raw.response.headers.get("x-request-id"), /^req_/);
for (const video of [made, ...asked]) assert.equal((await client.videos.delete(video.id)).deleted, true);
await assert.rejects(client.videos.retrieve(made.id), OpenAI.NotFoundError);
await assert.rejects(client.videos.create({ ...small, prompt: " " }), OpenAI.BadRequestError);

const { body, headers, secret } = JSON.parse(event);
const told = await client.webhooks.unwrap(body, headers, secret);
assert.equal(told.type, "video.completed");
await assert.rejects(client.webhooks.unwrap(body.replace("completed", "deleted"), headers, secret));
console.log("all well");
