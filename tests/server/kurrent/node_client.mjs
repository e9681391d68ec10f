// Drives the npm client through one story; prints what it saw as one line of JSON.
import { createRequire } from "node:module";

const require = createRequire(process.env.CLIENT_FOLDER + "/package.json");
const k = require("@kurrent/kurrentdb-client");
const client = k.KurrentDBClient.connectionString(process.env.CLIENT_URI);
const seen = {};

const event = (type, data, extra = {}) => k.jsonEvent({ type, data, ...extra });
const collect = async (events) => {
  const all = [];
  for await (const { event } of events) all.push(event);
  return all;
};
const refusal = async (work) => {
  try {
    await work();
    return "none";
  } catch (error) {
    return error.type ?? error.constructor.name;
  }
};
const until = async (subscription, count, done) => {
  const all = [];
  for await (const resolved of subscription) {
    all.push(resolved.event);
    if (done) await done(resolved, all.length);
    if (all.length >= count) break;
  }
  return all;
};

const first = await client.appendToStream("a", [event("One", { n: 1 }), event("Two", { n: 2 })], {
  streamState: k.NO_STREAM,
});
seen.append = [first.success, Number(first.nextExpectedRevision), Number(first.position.commit)];
const bytes = k.binaryEvent({ type: "Bytes", data: Buffer.from([0, 255, 7]), metadata: Buffer.from([1, 254]) });
await client.appendToStream("a", bytes, { streamState: 1n });
seen.read = (await collect(client.readStream("a"))).map((e) => [
  e.type, Number(e.revision), e.isJson ? e.data : [...e.data],
]);
seen.backwards = (await collect(client.readStream("a", { direction: "backwards", fromRevision: "end", maxCount: 2 })))
  .map((e) => Number(e.revision));
seen.wrongVersion = await refusal(() => client.appendToStream("a", event("X", {}), { streamState: 9n }));
seen.missing = await refusal(() => collect(client.readStream("nothing")));
seen.all = (await collect(client.readAll())).length;
seen.filtered = (await collect(client.readAll({ filter: k.eventTypeFilter({ regex: "^(One|Two)$" }) }))).length;

await client.setStreamMetadata("a", { maxCount: 2 });
seen.metadata = (await client.getStreamMetadata("a")).metadata;
seen.counted = (await collect(client.readStream("a"))).map((e) => Number(e.revision));

const live = client.subscribeToAll({
  fromPosition: "start", filter: k.streamNameFilter({ prefixes: ["live-"] }),
});
const coming = until(live, 3);
for (let n = 0; n < 3; n++) await client.appendToStream(`live-${n}`, event("L", { n }));
seen.live = (await coming).map((e) => e.streamId);
await live.unsubscribe();

await client.createPersistentSubscriptionToStream("jobs", "g", k.persistentSubscriptionToStreamSettingsFromDefaults({ startFrom: "start" }));
await client.appendToStream("jobs", [0, 1, 2].map((n) => event("Job", { n })));
const jobs = client.subscribeToPersistentSubscriptionToStream("jobs", "g");
let nacked = false;
const retries = [];
await until(jobs, 4, async (resolved) => {
  retries.push([resolved.event.data.n, resolved.retryCount ?? 0]);
  if (!nacked) {
    nacked = true;
    await jobs.nack("retry", "once more", resolved);
  } else await jobs.ack(resolved);
});
seen.retries = retries.sort();
await jobs.unsubscribe();
await client.createPersistentSubscriptionToAll("g", k.persistentSubscriptionToAllSettingsFromDefaults());
seen.groups = (await client.listAllPersistentSubscriptions()).length;
seen.groupExists = await refusal(() =>
  client.createPersistentSubscriptionToStream("jobs", "g", k.persistentSubscriptionToStreamSettingsFromDefaults()));
seen.groupMissing = await refusal(() => client.deletePersistentSubscriptionToStream("jobs", "none"));
await client.deletePersistentSubscriptionToStream("jobs", "g");

const many = await client.multiStreamAppend([
  { streamName: "m-1", expectedState: k.NO_STREAM, events: [event("M", { n: 1 })] },
  { streamName: "m-2", expectedState: k.ANY, events: [event("M", { n: 2 })] },
]);
seen.many = many.responses.map((r) => [r.streamName, Number(r.revision)]);

const large = Array.from({ length: 5 }, () => event("Large", { text: "x".repeat(900_000) }));
seen.tooLarge = await refusal(() => client.appendToStream("large", large));

await client.deleteStream("m-1");
seen.deleted = await refusal(() => collect(client.readStream("m-1")));
seen.deleteWrong = await refusal(() => client.deleteStream("a", { expectedRevision: 77n }));
await client.tombstoneStream("m-2");
seen.tombstoned = await refusal(() => collect(client.readStream("m-2")));
seen.appendTombstoned = await refusal(() => client.appendToStream("m-2", event("X", {})));

console.log(JSON.stringify(seen));
await client.dispose();
process.exit(0);
