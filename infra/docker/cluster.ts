// cluster.ts: TwineCluster, a whole cluster as one Pulumi component.
//
//   conf (text) -> plan -> Cluster ─┬─ Host db1 ─┬─ StatusNode s1 ── volume, container
//                                   │            └─ DataNode a1 ──── volume, container
//                                   └─ Host db2 ...
//
// It makes no decisions: the plan contains all resources and their order, settings.ts the user's configuration.
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { nodesOf, type ClusterConfig } from "../../runtime/core/cluster.ts";
import { completeConfig } from "../../runtime/core/conf/complete.ts";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import { printConf } from "../../runtime/core/conf/print.ts";
import { TwineError, assert, formatProblem, type Problem } from "../../runtime/core/errors.ts";
import { packageRoot } from "../../runtime/cli/package-root.ts";
import { CONTAINER_PATHS } from "../plan/container-files.ts";
import { planCluster } from "../plan/plan-cluster.ts";
import type { Plan, PlanOptions, PlannedHost, PlannedService } from "../plan/plan.ts";
import { besideConf } from "../plan/user-files.ts";
import {
  readUserFiles,
  type ReadUserFiles,
  type UserFileContents,
  type UserFileTexts,
} from "./user-files.ts";
import { uploadsOf, type FilesInput } from "./container-args.ts";
import type { EndpointArgs } from "./endpoints.ts";
import { hasHooks } from "./failure-hook.ts";
import { Host, engineProvider } from "./host.ts";
import { prepareImageContext } from "./image-context.ts";
import { readTemplates } from "./read-templates.ts";
import {
  engineImages,
  imageOf,
  redisMajorOf,
  type ImageSource,
  type RuntimeSource,
} from "./images.ts";
import { changeGate } from "./live/change-gate.ts";
import { lastConfOf } from "./live/last-deployment.ts";
import { adopted, rotatePassword } from "./live/live-cluster.ts";
import { memoryBytesOf } from "./memory.ts";
import { NODE_COMPONENTS, type ClusterNodeComponent, type NodeArgs } from "./node.ts";
import { outputsOf, type ClusterOutputs } from "./outputs.ts";
import { logDifference } from "./preview-words.ts";
import { publishedPorts, type PublishedPort } from "./published-ports.ts";
import { awsProfile } from "./backup-settings.ts";
import { orRefuse } from "./refuse.ts";
import { secretOf } from "./secret-setting.ts";
import { ClusterWatch } from "./cluster-watch.ts";
import {
  checkSettings,
  passwordFault,
  smtpPasswordFault,
  type DockerSettings,
  type DockerSettingsArgs,
} from "./settings.ts";

const TWINE_FOLDER = packageRoot();

export interface TwineClusterArgs extends DockerSettingsArgs {
  /** The text of a twine.conf. */
  readonly conf: string;
  /** Its path, shown in complaints: the files that it names are searched in its folder. "twine.conf" when absent. */
  readonly confFile?: string;
  /** The text of a file that twine.conf names, by directive, instead of the file: {"tls-key": key.privateKeyPem}. */
  readonly files?: UserFileTexts;
  /** Create all containers at once without waiting for any: for a cluster that is started only once. @default false */
  readonly atOnce?: boolean;
  /** The cluster's identity, stamped into volumes and register: PROJECT-STACK when absent. */
  readonly cluster?: string;
}

/** Shared by the constructor's steps. */
interface Making {
  readonly prefix: string;
  readonly stackName: string;
  readonly config: ClusterConfig;
  readonly plan: Plan;
  readonly planOptions: PlanOptions;
  readonly settings: DockerSettings;
  readonly password: pulumi.Output<string> | undefined;
  /** The valid passwords: the password, and twine:oldPassword if it is set. */
  readonly passwords: pulumi.Output<readonly string[]> | undefined;
  readonly templates: ReadonlyMap<string, string>;
  readonly smtpPassword: pulumi.Output<string> | undefined;
  readonly awsProfile: pulumi.Output<string> | undefined;
  readonly backupFolder: string | undefined;
  readonly ports: ReadonlyMap<string, readonly PublishedPort[]>;
  readonly runtime: RuntimeSource;
  readonly userFiles: UserFileContents;
  readonly watch: ClusterWatch;
  readonly isAtOnce: boolean;
}

/**
 * A cluster on Docker. Containers and volumes are named NAME-NODE, NAME being the component's; the resources NODE when NAME
 * is the stack's, NAME-NODE otherwise, so that a program may contain several clusters. Throws a pulumi.RunError with every
 * error in `conf` or in the settings; its cause is the TwineError.
 */
export class TwineCluster extends pulumi.ComponentResource implements ClusterOutputs {
  readonly routerUrls: ClusterOutputs["routerUrls"];
  readonly monitorUrls: ClusterOutputs["monitorUrls"];
  readonly nodes: ClusterOutputs["nodes"];
  readonly confHash: ClusterOutputs["confHash"];
  readonly keptVolumes: ClusterOutputs["keptVolumes"];
  readonly connection: ClusterOutputs["connection"];
  /** The text of the running twine.conf, with this cluster's identity: for the tools. */
  readonly conf: pulumi.Output<string | undefined>;

  constructor(name: string, args: TwineClusterArgs, options: pulumi.ComponentResourceOptions = {}) {
    // First of all: a refusal must leave nothing in the state, not even this component.
    const making = orRefuse(() => prepare(name, args));
    super("twine:docker:Cluster", name, {}, options);
    for (const warning of making.plan.warnings) {
      void pulumi.log.warn(formatProblem(warning), this);
    }
    const hosts = createHosts(making, this);
    const nodes = createNodes(making, hosts, gateOf(making, this));
    const outputs = outputsOf({ ...making, nodes });
    this.routerUrls = outputs.routerUrls;
    this.monitorUrls = outputs.monitorUrls;
    this.nodes = outputs.nodes;
    this.confHash = outputs.confHash;
    this.keptVolumes = outputs.keptVolumes;
    this.connection = outputs.connection;
    const { config, plan, planOptions } = making;
    if (hasHooks()) logDifference(this, { config, plan }, planOptions);
    // The text is stored in the state once everything is done: the next preview compares it with its own.
    const done = allDone(making, nodes).then(() => printConf(config));
    // The uncaught promise `done` reports a failure; until everything is done, the output is the previous text.
    this.conf = pulumi.output(done.catch(() => lastConfOf(this)));
    this.registerOutputs({ ...outputs, conf: this.conf });
  }
}

function prepare(name: string, args: TwineClusterArgs): Making {
  const { config, warnings, userFiles } = readConf(name, args);
  const settings = checkSettings(args, config, userFiles.problems);
  const { engine } = settings;
  const planOptions: PlanOptions = {
    confPath: `${CONTAINER_PATHS.files}/twine.conf`,
    hasPassword: settings.hasPassword,
    redisMajor: redisMajorOf(settings.redisImage),
    placement: engine === undefined ? "containers" : "pods",
  };
  const plan = planCluster(config, planOptions);
  const password = secretOf("password", args.password, passwordFault);
  const aws = awsProfile(args.backup ?? {});
  const old = secretOf("oldPassword", args.oldPassword, passwordFault);
  return {
    prefix: name === pulumi.getStack() ? "" : `${name}-`,
    stackName: name,
    config,
    plan: { ...plan, warnings: [...warnings, ...plan.warnings] },
    planOptions,
    settings,
    password,
    passwords: password && pulumi.all(old === undefined ? [password] : [password, old]),
    templates: readTemplates(TWINE_FOLDER),
    smtpPassword: secretOf("smtpPassword", args.smtpPassword, smtpPasswordFault),
    awsProfile: aws === undefined ? undefined : pulumi.secret(aws),
    backupFolder: args.backup?.folder,
    ports: engine === undefined ? new Map() : publishedPorts(plan, settings.publish),
    runtime: settings.runtimeImage ?? prepareImageContext(TWINE_FOLDER),
    userFiles: userFiles.contents,
    watch: new ClusterWatch(plan, settings, name),
    isAtOnce: args.atOnce === true,
  };
}

/** The twine.conf of the containers: with the identity of this stack, and the files that it names next to it. */
function readConf(
  name: string,
  args: TwineClusterArgs,
): { config: ClusterConfig; warnings: readonly Problem[]; userFiles: ReadUserFiles } {
  const { errors, places, ...parsed } = parseConf(args.conf, args.confFile ?? "twine.conf");
  if (parsed.config === undefined) throw new TwineError(errors);
  const { config, warnings } = completeConfig(parsed.config);
  const stack = `${pulumi.getProject()}-${pulumi.getStack()}`;
  const cluster = args.cluster ?? (name === pulumi.getStack() ? stack : `${stack}-${name}`);
  const settings = { ...besideConf(config.settings), cluster };
  return {
    config: { ...config, settings },
    warnings: [...parsed.warnings, ...warnings],
    userFiles: readUserFiles({ config, places }, args.files, args.password !== undefined),
  };
}

function createHosts(making: Making, parent: pulumi.Resource): Map<string, Host> {
  const { settings, plan, runtime, prefix, watch } = making;
  const { engine } = settings;
  if (engine === undefined) {
    return new Map(
      plan.hosts.map(({ name: host }) => {
        const endpoint = settings.hosts?.get(host);
        assert(endpoint !== undefined, `the host ${host} has a checked endpoint`);
        const resource = `${prefix}${host}`;
        watch.engine(resource, host);
        const made = new Host(
          resource,
          { host, endpoint, images: imageSource(making, resource), hooks: watch.hooks },
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
  const resourceOptions = { parent, provider, hooks: watch.hooks.failure };
  const source = imageSource(making, place);
  const images = engineImages(place, source, resourceOptions);
  watch.images(place, "the engine", runtime, parent);
  const networkName = making.stackName;
  const network = new docker.Network(
    `${prefix}network`,
    { name: networkName, driver: "bridge" },
    resourceOptions,
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
      watch.ports(host, args.ports, pod);
      return [host, pod];
    }),
  );
}

/** The images of one engine; `resource` is its provider's name. */
function imageSource(making: Making, resource: string): ImageSource {
  const { config, runtime, watch } = making;
  const { redisImage, nutcrackerImage, platform } = making.settings;
  const buildPlatform = typeof runtime === "string" ? undefined : watch.platform(resource);
  const hasBackups = config.settings.backupDirs.length > 0;
  const hasTwemproxy = config.settings.router === "twemproxy";
  return {
    ...{ redisImage, runtime, platform, buildPlatform, hasBackups },
    ...{ hasTwemproxy, nutcrackerImage },
  };
}

/** In the order of the chain: a service is created after those that it waits for. */
function createNodes(
  making: Making,
  hosts: ReadonlyMap<string, Host>,
  gate: Promise<void>,
): Map<string, ClusterNodeComponent> {
  const made = new Map<string, ClusterNodeComponent>();
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
    const after = making.isAtOnce ? [] : (place.service.after ?? []).map(make);
    const node = createNode(making, place.host, place.service, host, { after, gate });
    made.set(name, node);
    return node;
  };
  for (const name of planned.keys()) make(name);
  return made;
}

function gateOf(making: Making, component: pulumi.Resource): Promise<void> {
  const { config, plan, planOptions: options, settings, prefix } = making;
  const place = settings.engine === undefined ? (plan.hosts[0]?.name ?? "") : "engine";
  const gate = changeGate(
    component,
    {
      ...{ now: { config, plan }, options, redisImage: settings.redisImage },
      imageResource: `${prefix}${place}-redis`,
    },
    settings.force,
  );
  const services = plan.hosts.flatMap((host) =>
    host.services.map((service) => ({
      ...{ service, resource: `${prefix}${service.name}`, endpoint: endpointOf(making, host) },
      uploadsWith: (passwords: readonly string[]) => {
        const password = pulumi.secret(passwords);
        return uploadsOf({ ...filesInput(making, host, service), password });
      },
    })),
  );
  const open = gate.then(() => rotatePassword(services, making.passwords, component));
  // Every node waits for it, and each would report the error.
  open.catch(() => undefined);
  return open;
}

/** No resource may be removed before that; Pulumi removes them when the program has ended. */
async function allDone(
  { config, plan, isAtOnce }: Making,
  nodes: ReadonlyMap<string, ClusterNodeComponent>,
): Promise<void> {
  if (isAtOnce) return;
  await Promise.all([...nodes.values()].map(({ ready }) => ready));
  const statusNodes = nodesOf(config, "status").flatMap(({ name, db }) => {
    const node = nodes.get(name);
    return node === undefined ? [] : [{ live: node.live, container: node.container, db }];
  });
  await adopted(plan, statusNodes);
}

function createNode(
  making: Making,
  planned: PlannedHost,
  service: PlannedService,
  host: Host,
  waits: Pick<NodeArgs, "after" | "gate">,
): ClusterNodeComponent {
  const { settings, config, prefix } = making;
  const container = {
    ...filesInput(making, planned, service),
    backupFolder: service.kind === "monitor" ? making.backupFolder : undefined,
    name: `${making.stackName}-${service.name}`,
    image: imageOf(service, host.images),
    networkMode: host.networkMode,
    isInPod: settings.engine !== undefined,
    extraHosts: [...(settings.hosts ?? [])].flatMap(([name, { address }]) =>
      address === undefined ? [] : [{ host: name, ip: address }],
    ),
    memoryBytes: memoryBytesOf(service.kind, config, settings.dataMemoryBytes),
    labels: labelsOf(making, service.name, service.kind),
  };
  const args = {
    container,
    provider: host.provider,
    endpoint: endpointOf(making, planned),
    ...waits,
    isAtOnce: making.isAtOnce,
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

function endpointOf({ settings }: Making, { name }: PlannedHost): EndpointArgs {
  const endpoint = settings.engine ?? settings.hosts?.get(name);
  assert(endpoint !== undefined, `the host ${name} has a checked endpoint`);
  return endpoint;
}

function filesInput(
  { templates, passwords: password, userFiles, ...making }: Making,
  { files }: PlannedHost,
  service: PlannedService,
): FilesInput {
  const isMonitor = service.kind === "monitor";
  const smtpPassword = isMonitor ? making.smtpPassword : undefined;
  const awsProfile = isMonitor ? making.awsProfile : undefined;
  return { service, files, templates, password, smtpPassword, awsProfile, userFiles };
}

function labelsOf(making: Making, name: string, kind: string): Record<string, string> {
  return {
    ...making.settings.labels,
    "twine.cluster": making.plan.cluster,
    "twine.name": name,
    "twine.kind": kind,
  };
}
