// runtime-health.ts: the health check of a monitor or router in its container. Pure.
//
//   /bin/sh -> bash asks by /dev/tcp         a few milliseconds of CPU
//           -> node, where there is no bash  (an image made on Alpine)
//
// Why not node alone: Docker checks each monitor and router every few seconds, and starting Node a hundred times a minute
// uses all CPU of a small machine; then checks time out, and healthy monitors count as unhealthy.
import type { HealthCheck } from "../plan/plan.ts";

/** The timeouts of a check: on a machine without spare CPU, slow does not mean unhealthy. */
export const CHECK_TIMES = Object.freeze({ timeout: "30s", startPeriod: "30s", retries: 5 });

/**
 * In a pod it also ends a process whose namespace has lost its network, so that Docker starts it in the pod's new one:
 * templates/container-health.sh.hbs explains why.
 */
const REJOIN = `alone=yes
while read -r interface _; do
  case $interface in lo:*) ;; *:*) alone= ;; esac
done </proc/net/dev
if [ -n "$alone" ]; then
  echo "the pod was started anew, and this container follows"
  kill -TERM 1
  exit 1
fi
`;

// None of the next four may contain a single quote: each is put between two. $1 is the host, $2 the port, $3 the path. Bash
// itself prints why it could not connect.
const BASH_CONNECT = `exec 3<>"/dev/tcp/$1/$2" || exit 1`;
const BASH_GET = `${BASH_CONNECT}
printf "GET %s HTTP/1.0\\r\\n\\r\\n" "$3" >&3
read -r -t 20 version status words <&3
[ "$status" = 200 ] && exit 0
while IFS= read -r -t 1 line <&3; do :; done
echo "\${status:-no answer} $line"
exit 1`;
const NODE_CONNECT =
  'const[,h,p]=process.argv;require("node:net").connect(+p,h,()=>process.exit(0)).on("error",(e)=>{console.log(e.message);process.exit(1)})';
const NODE_GET =
  'const[,h,p,path]=process.argv;fetch(`http://${h.includes(":")?`[${h}]`:h}:${p}${path}`).then((r)=>process.exit(r.ok?0:1),(e)=>{console.log(String(e.cause??e));process.exit(1)})';

/** The command for Docker: an HTTP check passes on status 200, any other on an accepted connection. */
export function runtimeCheck(health: HealthCheck, address: string, isInPod: boolean): string[] {
  const isHttp = health.kind === "http";
  const [bash, node] = isHttp ? [BASH_GET, NODE_GET] : [BASH_CONNECT, NODE_CONNECT];
  const script = `${isInPod ? REJOIN : ""}command -v bash >/dev/null && exec bash --norc -c '${bash}' health "$@"
exec node -e '${node}' "$@"`;
  const asked = [address, String(health.port), ...(isHttp ? [health.path] : [])];
  return ["CMD", "/bin/sh", "-c", script, "health", ...asked];
}
