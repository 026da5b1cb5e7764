// s3-archive.ts: the archive's files as objects beside the backups: s3://BUCKET/PREFIX/CLUSTER-archive/.
import type { Bucket, S3Limits } from "./s3-client.ts";
import type { S3Objects } from "./s3-objects.ts";
import { Upload } from "./s3-upload.ts";
import type { ArchiveStore } from "./target.ts";

/** `prefix` ends with a slash. */
export function s3Archive(
  prefix: string,
  { bucket, objects, limits }: { bucket: Bucket; objects: S3Objects; limits: S3Limits },
): ArchiveStore {
  return {
    // No list of objects shows what an upload has left, and it costs as much. One that is under way is tried again.
    sweep: () => objects.abortUploads((key) => key.startsWith(prefix), prefix),
    list: async () => (await objects.list(prefix)).map(({ key }) => key.slice(prefix.length)),
    put: (name, bytes) => objects.put(prefix + name, bytes),
    join: async (name, parts) => {
      const upload = new Upload({ bucket, key: prefix + name, limits });
      try {
        for (const part of parts) {
          for await (const chunk of objects.read(prefix + part)) await upload.write(chunk);
        }
        await upload.close();
      } catch (error) {
        await upload.abort().catch(() => undefined);
        throw error;
      }
    },
    read: (name) => objects.read(prefix + name),
    remove: (name) => objects.remove(prefix + name),
  };
}
