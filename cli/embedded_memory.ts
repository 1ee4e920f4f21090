/** `connect({ memory: true })`: a cluster without a disk, gone with its client. */
import type { LogLine } from "../adapters/log.ts";
import { memoryDatabase, memoryMetadata } from "../adapters/memory.ts";
import { sha256, systemRandom } from "../adapters/system.ts";
import { MemberMachine } from "../roles/master/member.ts";
import { firstImage } from "../roles/master/metadata.ts";
import { StorageMachine } from "../roles/storage/storage.ts";
import { EmbeddedNodes, logOf } from "./embedded_nodes.ts";
import { hosted } from "./hosting.ts";

const CLUSTER = { clusterId: "memory", cluster: "memory" };
const [MASTER, STORAGE] = [{ name: "m1", address: "m1:1" }, { name: "s1", address: "s1:1" }];
const DISK_ID = "memory";

/** Makes an empty cluster and runs it. */
export async function openMemory(
  { partitions, log }: { readonly partitions: number; readonly log: LogLine },
): Promise<EmbeddedNodes> {
  const members = [
    { ...MASTER, role: "master" as const, diskId: "" },
    { ...STORAGE, role: "storage" as const, diskId: DISK_ID },
  ];
  const metadata = memoryMetadata(firstImage({ ...CLUSTER, partitions, replicas: 0, nodes: members })).open();
  const { name } = STORAGE;
  const database = memoryDatabase({ ...CLUSTER, partitions, name, diskId: DISK_ID }, sha256).open();
  const nodes = new EmbeddedNodes(CLUSTER.cluster, [MASTER.address]);
  const listening = (node: typeof MASTER) => ({
    address: node.address,
    transport: nodes.transport(),
    log: logOf(node.name, log),
  });
  nodes.add(
    MASTER.name,
    await hosted(listening(MASTER), metadata, () => {
      const { state } = metadata;
      const machine = new MemberMachine({ state, ...MASTER, digest: sha256, random: systemRandom() });
      return { machine, peers: { hello: machine.hello(), serves: ["storage", "client"] } };
    }),
  );
  nodes.add(
    STORAGE.name,
    await hosted(listening(STORAGE), database, (address) => {
      const { state } = database;
      const machine = new StorageMachine({ state, masters: [MASTER.address], address, digest: sha256 });
      return { machine, peers: { hello: machine.hello(), serves: ["client", "storage"] } };
    }),
  );
  return nodes;
}
