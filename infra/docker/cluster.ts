// cluster.ts: TwineCluster, a whole cluster as one Pulumi component.
//
//   conf (text) -> plan -> Cluster ─┬─ Host db1 ─┬─ StatusNode s1 ── volume, container
//                                   │            └─ DataNode a1 ──── volume, container
//                                   └─ Host db2 ...
//
// It decides nothing: the plan says what there is and in which order, settings.ts what a person configured.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { packageRoot } from "../../runtime/cli/package-root.ts";
import { runsRedis, type ClusterConfig } from "../../runtime/core/cluster.ts";
import { completeConfig } from "../../runtime/core/conf/complete.ts";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import { TwineError, assert, formatProblem, type Problem } from "../../runtime/core/errors.ts";
import { CONTAINER_PATHS } from "../plan/container-files.ts";
import { planCluster } from "../plan/plan-cluster.ts";
import type { Plan, PlannedHost, PlannedService } from "../plan/plan.ts";
import { besideConf } from "../plan/given-files.ts";
import { readGivenFiles, type Given, type GivenContents, type GivenTexts } from "./given-files.ts";
import { Host, engineProvider } from "./host.ts";
import { prepareImageContext } from "./image-context.ts";
import { engineImages, type RuntimeSource } from "./images.ts";
import { memoryBytesOf } from "./memory.ts";
import { NODE_COMPONENTS, type ClusterNodeComponent } from "./node.ts";
import { outputsOf, type ClusterOutputs } from "./outputs.ts";
import { publishedPorts, type PublishedPort } from "./published-ports.ts";
import { orRefuse, refusal } from "./refuse.ts";
import { ClusterWatch } from "./cluster-watch.ts";
import {
  EXAMPLES,
  checkSettings,
  passwordFault,
  smtpPasswordFault,
  type DockerSettings,
  type DockerSettingsArgs,
} from "./settings.ts";

export interface TwineClusterArgs extends DockerSettingsArgs {
  /** The text of a twine.conf. */
  readonly conf: string;
  /** Its path, as complaints call it: the files that it names are looked for in its folder. "twine.conf" when absent. */
  readonly confFile?: string;
  /** Instead of a file that twine.conf names, its text, by the directive: {"tls-key": key.privateKeyPem}. */
  readonly files?: GivenTexts;
  /** The cluster's identity, stamped into volumes and register: PROJECT-STACK when absent. */
  readonly cluster?: string;
}

/** What the constructor's steps share. */
interface Making {
  readonly prefix: string;
  readonly stackName: string;
  readonly config: ClusterConfig;
  readonly plan: Plan;
  readonly settings: DockerSettings;
  readonly password: pulumi.Output<string> | undefined;
  readonly smtpPassword: pulumi.Output<string> | undefined;
  readonly ports: ReadonlyMap<string, readonly PublishedPort[]>;
  readonly runtime: RuntimeSource;
  readonly given: Given;
  readonly watch: ClusterWatch;
}

/**
 * A cluster on Docker. Containers and volumes are called NAME-NODE, NAME being the component's; the resources NODE
 * when NAME is the stack's, NAME-NODE otherwise, so that a program may hold several clusters.
 * Throws a pulumi.RunError with everything that is wrong in `conf`, or in the settings; its cause is the TwineError.
 */
export class TwineCluster extends pulumi.ComponentResource implements ClusterOutputs {
  readonly routerUrls: ClusterOutputs["routerUrls"];
  readonly monitorUrls: ClusterOutputs["monitorUrls"];
  readonly nodes: ClusterOutputs["nodes"];
  readonly confHash: ClusterOutputs["confHash"];
  readonly keptVolumes: ClusterOutputs["keptVolumes"];
  readonly connection: ClusterOutputs["connection"];

  constructor(name: string, args: TwineClusterArgs, options: pulumi.ComponentResourceOptions = {}) {
    // Before there is anything: what is refused must leave nothing in the state, not even this component.
    const making = orRefuse(() => prepare(name, args));
    super("twine:docker:Cluster", name, {}, options);
    for (const warning of making.plan.warnings) {
      void pulumi.log.warn(formatProblem(warning), this);
    }
    const hosts = createHosts(making, this);
    const nodes = createNodes(making, hosts);
    const outputs = outputsOf({ ...making, nodes });
    this.routerUrls = outputs.routerUrls;
    this.monitorUrls = outputs.monitorUrls;
    this.nodes = outputs.nodes;
    this.confHash = outputs.confHash;
    this.keptVolumes = outputs.keptVolumes;
    this.connection = outputs.connection;
    this.registerOutputs({ ...outputs });
  }
}

function prepare(name: string, args: TwineClusterArgs): Making {
  const { config, warnings, given } = readConf(name, args);
  const settings = checkSettings(args, config, given.problems);
  const { engine } = settings;
  const plan = planCluster(config, {
    confPath: `${CONTAINER_PATHS.files}/twine.conf`,
    hasPassword: settings.hasPassword,
    redisMajor: redisMajorOf(settings.redisImage),
    placement: engine === undefined ? "containers" : "pods",
  });
  return {
    prefix: name === pulumi.getStack() ? "" : `${name}-`,
    stackName: name,
    config,
    plan: { ...plan, warnings: [...warnings, ...plan.warnings] },
    settings,
    password: secretOf("password", args.password, passwordFault),
    smtpPassword: secretOf("smtpPassword", args.smtpPassword, smtpPasswordFault),
    ports: engine === undefined ? new Map() : publishedPorts(plan, settings.publish),
    runtime: settings.runtimeImage ?? prepareImageContext(packageRoot()),
    given: given.contents,
    watch: new ClusterWatch(plan, settings, name),
  };
}

/** twine.conf as it will stand in the containers: with the identity of this stack, and beside the files that it names. */
function readConf(
  name: string,
  args: TwineClusterArgs,
): { config: ClusterConfig; warnings: readonly Problem[]; given: GivenContents } {
  const { errors, places, ...parsed } = parseConf(args.conf, args.confFile ?? "twine.conf");
  if (parsed.config === undefined) throw new TwineError(errors);
  const { config, warnings } = completeConfig(parsed.config);
  const stack = `${pulumi.getProject()}-${pulumi.getStack()}`;
  const cluster = args.cluster ?? (name === pulumi.getStack() ? stack : `${stack}-${name}`);
  const settings = { ...besideConf(config.settings), cluster };
  return {
    config: { ...config, settings },
    warnings: [...parsed.warnings, ...warnings],
    given: readGivenFiles({ config, places }, args.files, args.password !== undefined),
  };
}

/** One that is an Output is checked as soon as it is known. */
function secretOf(
  key: "password" | "smtpPassword",
  value: pulumi.Input<string> | undefined,
  faultOf: (text: string) => string | undefined,
): pulumi.Output<string> | undefined {
  if (value === undefined) return undefined;
  return pulumi.secret(value).apply((text) => {
    const why = faultOf(text);
    if (why === undefined) return text;
    const remedy = `for example: ${EXAMPLES[key]}`;
    throw refusal([{ code: "DOCKER_SETTING", message: `twine:${key} ${why}`, remedy }]);
  });
}

/** The major version that an image's tag tells; a digest tells none, and then it is taken for 7 or later. */
function redisMajorOf(image: string): number {
  const [, major] = /(?:^|\/)redis:v?(\d+)(?:[.-]|$|@)/.exec(image) ?? [];
  return major === undefined ? 7 : Number(major);
}

function createHosts(making: Making, parent: pulumi.Resource): Map<string, Host> {
  const { settings, plan, runtime, prefix, watch } = making;
  const { engine, redisImage } = settings;
  if (engine === undefined) {
    return new Map(
      plan.hosts.map(({ name: host }) => {
        const endpoint = settings.hosts?.get(host);
        assert(endpoint !== undefined, `the host ${host} has a checked endpoint`);
        const resource = `${prefix}${host}`;
        watch.engine(resource, host);
        const made = new Host(
          resource,
          { host, endpoint, redisImage, runtime, hooks: watch.hooks },
          { parent },
        );
        watch.images(resource, host, runtime, made);
        watch.provider(resource, made.provider);
        return [host, made];
      }),
    );
  }
  const place = `${prefix}engine`;
  watch.engine(place);
  const provider = engineProvider(place, engine, { parent, hooks: watch.hooks.engine });
  watch.provider(place, provider);
  const its = { parent, provider, hooks: watch.hooks.failure };
  const images = engineImages(place, redisImage, runtime, its);
  watch.images(place, "the engine", runtime, parent);
  const networkName = making.stackName;
  const network = new docker.Network(
    `${prefix}network`,
    { name: networkName, driver: "bridge" },
    its,
  );
  watch.network(`${prefix}network`, networkName, parent);
  return new Map(
    plan.hosts.map(({ name: host }) => {
      const podName = `${making.stackName}-${host}`;
      const args = {
        host,
        podName,
        provider,
        images,
        network,
        networkName,
        ports: making.ports.get(host) ?? [],
        labels: labelsOf(making, host, "pod"),
        hooks: watch.hooks,
      };
      const pod = new Host(`${prefix}${host}`, args, { parent });
      watch.container(`${prefix}${host}`, { node: host, container: podName, host }, pod);
      return [host, pod];
    }),
  );
}

/** In the order of the chain, so that what a service waits for is there when it is made. */
function createNodes(
  making: Making,
  hosts: ReadonlyMap<string, Host>,
): Map<string, ClusterNodeComponent> {
  const made = new Map<string, ClusterNodeComponent>();
  const templates = readTemplates();
  const planned = new Map(
    making.plan.hosts.flatMap((host) =>
      host.services.map((service) => [service.name, { host, service }] as const),
    ),
  );
  const make = (name: string): ClusterNodeComponent => {
    const known = made.get(name);
    if (known !== undefined) return known;
    const place = planned.get(name);
    const host = hosts.get(place?.host.name ?? "");
    assert(place !== undefined && host !== undefined, `the plan knows ${name} and its host`);
    const after = (place.service.after ?? []).map((before) => make(before).container);
    const node = createNode(making, place.host, place.service, host, after, templates);
    made.set(name, node);
    return node;
  };
  for (const name of planned.keys()) make(name);
  return made;
}

function createNode(
  making: Making,
  planned: PlannedHost,
  service: PlannedService,
  host: Host,
  after: readonly docker.Container[],
  templates: ReadonlyMap<string, string>,
): ClusterNodeComponent {
  const { settings, password, smtpPassword, config, prefix, given } = making;
  const container = {
    service,
    files: planned.files,
    templates,
    password,
    smtpPassword: service.kind === "monitor" ? smtpPassword : undefined,
    name: `${making.stackName}-${service.name}`,
    image: runsRedis(service.kind) ? host.images.redis : host.images.runtime,
    networkMode: host.networkMode,
    isInPod: settings.engine !== undefined,
    extraHosts: [...(settings.hosts ?? [])].flatMap(([name, { address }]) =>
      address === undefined ? [] : [{ host: name, ip: address }],
    ),
    memoryBytes: memoryBytesOf(service.kind, config, settings.dataMemoryBytes),
    labels: labelsOf(making, service.name, service.kind),
    given,
  };
  const args = {
    container,
    provider: host.provider,
    after,
    protectData: settings.protectData,
    hooks: making.watch.hooks.failure,
  };
  const Component = NODE_COMPONENTS[service.kind];
  const resource = `${prefix}${service.name}`;
  const node = new Component(resource, args, { parent: host });
  const place = { node: service.name, container: container.name, host: planned.name };
  making.watch.container(resource, place, node, node.volume);
  return node;
}

function labelsOf(making: Making, name: string, kind: string): Record<string, string> {
  return {
    ...making.settings.labels,
    "twine.cluster": making.plan.cluster,
    "twine.name": name,
    "twine.kind": kind,
  };
}

function readTemplates(): Map<string, string> {
  const folder = join(packageRoot(), "templates");
  const names = readdirSync(folder).filter((name) => name.endsWith(".hbs"));
  return new Map(names.map((name) => [name, readFileSync(join(folder, name), "utf8")]));
}
