import { expect, test } from "vitest";
import { isBackupPlace, parseS3Place, splitCopyPath } from "../../../runtime/core/backup-place.ts";

test.each([
  ["s3://bucket", { bucket: "bucket", prefix: "" }],
  ["s3://bucket/", { bucket: "bucket", prefix: "" }],
  ["s3://my.bucket-1/a/b c", undefined],
  ["s3://my.bucket-1/a/b", { bucket: "my.bucket-1", prefix: "a/b" }],
  ["s3://my.bucket-1/a/b/", { bucket: "my.bucket-1", prefix: "a/b" }],
  ["s3://bucket/a//b", undefined],
  ["s3://bucket/./b", undefined],
  ["s3://ab", undefined],
  ["s3://a..b", undefined],
  ["S3://bucket", undefined],
  [`s3://bucket/${"x".repeat(513)}`, undefined],
  ["backups", undefined],
])("%s is read as a bucket and a prefix, or not", (text, place) => {
  expect(parseS3Place(text)).toEqual(place);
});

test("a folder may have any name that is not another scheme's", () => {
  for (const folder of ["backups", "/mnt/my backups # old", "a:b", "./s3://x", "//nas/twine"])
    expect(isBackupPlace(folder)).toBe(true);
  for (const other of ["", "gs://bucket", "S3://bucket", "file:///tmp"])
    expect(isBackupPlace(other)).toBe(false);
});

test("the path of a copy is a place and an id", () => {
  expect(splitCopyPath("s3://b/p/id")).toEqual({ place: "s3://b/p", id: "id" });
  expect(splitCopyPath("/backups/id/")).toEqual({ place: "/backups", id: "id" });
  expect(splitCopyPath("/id")).toEqual({ place: "/", id: "id" });
  expect(splitCopyPath("latest")).toBeUndefined();
});
