// The supervisors' files of a host with twemproxy and Sentinel: a Sentinel has no data to check before it starts.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { planCluster } from "../../../infra/plan/plan-cluster.ts";
import { renderFile } from "../../../infra/render/render-file.ts";
import { TEMPLATES, configOf } from "../../golden/render-cases.ts";

const CONF = readFileSync("examples/twemproxy-sentinel.conf", "utf8");

function rendered(more: string): ReadonlyMap<string, string> {
  const plan = planCluster(configOf(`${CONF}${more}`), {
    confPath: "/srv/twine.conf",
    hasPassword: false,
    installation: {
      ...{ folder: "/srv", node: "/usr/bin/node", redis: "/usr/bin/redis-server", user: "twine" },
      ...{ tool: (name) => `/opt/${name}.js`, env: { PATH: "/usr/bin" } },
    },
  });
  const files = plan.hosts.flatMap((host) => host.files);
  return new Map(files.map((file) => [file.path, renderFile(file, TEMPLATES)]));
}

test("systemd starts Sentinel as a plain process after the data nodes, and twemproxy through its keeper", () => {
  const files = rendered("supervisor systemd\n");
  const sentinel = files.get("systemd/twine-shards-sentinel.service") ?? "";
  expect(sentinel).toMatch(/^ExecStart=\/usr\/bin\/redis-server sentinel\.conf --sentinel$/m);
  expect(sentinel).toMatch(/^Type=exec$/m);
  expect(sentinel).toMatch(/^After=.*twine-shards-s1_1\.service/m);
  expect(sentinel).not.toMatch(/ExecStartPre/);
  const proxy = files.get("systemd/twine-shards-nutcracker.service") ?? "";
  expect(proxy).toMatch(
    /^ExecStart=\/usr\/bin\/node \/opt\/twine-twemproxy\.js nutcracker --conf \/srv\/twine\.conf --file \.\/nutcracker\.yml$/m,
  );
  expect(proxy).toMatch(/^After=.*twine-shards-sentinel\.service/m);
});

test("monit stops twemproxy first, then Sentinel, then the nodes", () => {
  const monitrc = rendered("supervisor monit\n").get("monit/monitrc") ?? "";
  const names = [...monitrc.matchAll(/^check process (\S+)/gm)].map(([, name]) => name);
  expect(names.slice(0, 2)).toEqual(["nutcracker", "sentinel"]);
});

test("Sentinel's script names the nutcracker.yml beside it", () => {
  const files = rendered('twemproxy-staging "/srv/a staging"\n');
  expect(files.get("sentinel/notify.sh")).toMatch(
    /^exec \/usr\/bin\/node \/opt\/twine-twemproxy\.js nutcracker --notify --file \/srv\/partitions\/localhost\/nutcracker\/nutcracker\.yml --conf \/srv\/twine\.conf$/m,
  );
  expect(files.get("sentinel/sentinel.conf")).toMatch(
    /^sentinel client-reconfig-script twine-p1 \/srv\/partitions\/localhost\/sentinel\/notify\.sh$/m,
  );
});
