// prepare-servers.ts: unpacks the servers of the matrix (test/support/server-matrix.ts), and the S3 server, before any test
// needs them; CI runs it.
import { pythonWithS3 } from "../test/support/s3-server.ts";
import { SERVERS, folderOf } from "../test/support/server-matrix.ts";

for (const server of SERVERS) {
  const folder = folderOf(server);
  process.stdout.write(`${server.name}: ${folder === undefined ? "not available" : "ready"}\n`);
}
process.stdout.write(`S3 server: ${pythonWithS3() === undefined ? "not available" : "ready"}\n`);
