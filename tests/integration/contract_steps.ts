/**
 * A cluster's life in command lines, such that every command is run once for a person and once for a program; what would end
 * the others stands last. `{...}` is filled in by the test.
 */

/** One command line. */
export interface Step {
  readonly line: string;
  /** How it ends, or may; 0, if it isn't said. */
  readonly exit?: number | readonly number[];
  /** False: what it says for people differs from run to run. */
  readonly golden?: false;
  /** Nodes that the configuration lists afterwards are others. */
  readonly reloads?: true;
}

const PLAN = "{plan}";

/** In the folder around the cluster's, which is what is meant without -C. */
export const STEPS: readonly Step[] = [
  { line: "version", golden: false },
  { line: "version --json" },
  { line: "config schema", golden: false },
  { line: "config schema --json" },
  { line: "demo --once", golden: false },
  { line: "demo --once --json" },
  { line: "completion bash", golden: false },
  { line: "completion zsh --json" },
  { line: "complete -- node a" },
  { line: "complete --json -- node a" },
  { line: "init other --name other --storages 1 --partitions 4" },
  { line: "init third --name third --single --json" },
  { line: "status -C other", exit: 3 },
  { line: "status -C other --json", exit: 3 },
  { line: "service install -C other --to units", golden: false },
  { line: "service install -C other --user --dry-run --json" },
  { line: "tls init -C other" },
  { line: "tls init -C third --json" },
  { line: "tls list -C other" },
  { line: "tls list -C other --json" },
  { line: "tls issue web -C other" },
  { line: "tls issue shop -C other --json" },
  { line: "tls renew -C other" },
  { line: "tls renew web -C other --json" },
  { line: `provision ${PLAN} --dry-run` },
  { line: `provision ${PLAN} --dry-run --json` },
  { line: `provision ${PLAN} --bundle db2 --dry-run --json` },

  { line: "start -C other" },
  { line: "start -C other --json" },
  { line: "import {history} -C other" },
  { line: "tls revoke web --old -C other" },
  { line: "tls revoke shop -C other --json" },
  { line: "stop -C other" },

  { line: "cluster recover", golden: false },
  { line: "start --json" },
  { line: "import {history} --json" },
  { line: "tx list --limit 3" },
  { line: "tx list --json" },
  { line: "obj get 0" },
  { line: "obj get 0 --json" },
  { line: "export out.fs --force" },
  { line: "export out.txt --format zodbdump --json --force" },
  { line: "status" },
  { line: "status --json" },
  { line: "check" },
  { line: "check --json" },
  { line: "check --format nagios" },
  { line: "logs m1 --grep listens", golden: false },
  { line: "logs --json" },
  { line: "cluster show" },
  { line: "cluster show --json" },
  { line: "node list" },
  { line: "node list --json" },
  { line: "table show" },
  { line: "table show --json" },
  { line: "table verify" },
  { line: "table verify --json" },

  { line: "config list", golden: false },
  { line: "config list --json" },
  { line: "config get storage.copyBytesPerS" },
  { line: "config get storage.copyBytesPerS --json" },
  { line: "config set storage.copyBytesPerS=5000000 --reason slow" },
  { line: "config set storage.copyBytesPerS=6000000 --node s1 --json" },
  { line: "config history" },
  { line: "config history --json" },
  { line: "config diff 0" },
  { line: "config diff 0 1 --json" },
  { line: "config export" },
  { line: "config export --json" },
  { line: "config unset storage.copyBytesPerS --node s1" },
  { line: "config unset storage.copyBytesPerS --json" },
  { line: "config rollback 1" },
  { line: "config rollback 2 --json" },
  { line: "config apply {settings}" },
  { line: "config apply {settings} --dry-run --json" },
  { line: "config status", golden: false, exit: [0, 4] },
  { line: "config status --json", exit: [0, 4] },

  { line: "node drain s2 --undo" },
  { line: "node add", reloads: true },
  { line: "node add s4 --json", reloads: true },
  { line: "table tweak --dry-run", golden: false },
  { line: "table tweak --dry-run --json" },
  { line: "node kill s4" },
  { line: "node drop s4 --yes", reloads: true },
  { line: "node drain s3 --json" },
  { line: "node drop s3 --yes --json", reloads: true },
  { line: "cluster replicas 0" },
  { line: "cluster replicas 1 --json" },
  { line: "table tweak" },
  { line: "node kill s2 --json" },
  { line: "start s2", golden: false },
  { line: "stop s2" },
  { line: "stop s1", exit: 6 },
  { line: "node clone s2 s5 --json", reloads: true },
  { line: "node clone s2 s6", golden: false, reloads: true },
  { line: "start s2 --json" },

  { line: "master list" },
  { line: "master list --json" },
  { line: "master add", reloads: true },
  { line: "master add m3 --json", reloads: true },
  { line: "master step-down", golden: false },
  { line: "master step-down --json" },
  { line: "master remove {follower} --yes", golden: false, reloads: true },
  { line: "master remove {follower} --yes --json", reloads: true },

  { line: "client list", golden: false },
  { line: "client list --json" },
  { line: "client kill {session}", golden: false },
  { line: "client kill {session} --json" },
  { line: "cluster size", golden: false },
  { line: "cluster size --json" },
  { line: "cluster audit", golden: false },
  { line: "cluster audit --json" },
  { line: "doctor", golden: false, exit: [0, 1, 2] },
  { line: "doctor --json", exit: [0, 1, 2] },

  { line: "restart s1" },
  { line: "restart --at-once --json" },
  { line: "cluster truncate --to {middle} --yes" },
  { line: "cluster truncate --to {first} --yes --json" },
  { line: "stop --json" },
  { line: "cluster recover", golden: false },
  { line: "cluster recover --json" },
];

/** Commands that are run, and judged, by other tests; each with the file of its test. */
export const ELSEWHERE: { readonly [command: string]: string } = {
  run: "tests/integration/daemons_test.ts",
  "node convert": "tests/integration/convert_test.ts",
};
