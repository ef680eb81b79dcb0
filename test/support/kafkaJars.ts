// The jars of a real Kafka, fetched by Maven once and kept in the user's cache directory.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

export type KafkaVersion = "4.1.0" | "3.9.1";

const install = "install them with: apt-get install openjdk-17-jre-headless maven";

/** The directory that holds the jars of that version, with those of its command line tools. Throws with the line that installs what is missing. */
export function kafkaJars(version: KafkaVersion): string {
  requireJava();
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "bruce-kafka");
  const jars = join(cache, `${version}-with-tools`);
  if (existsSync(jars)) return jars;

  mkdirSync(cache, { recursive: true });
  // Each download has a room of its own, so that an interrupted one leaves no half-filled cache and two at once do not
  // meet; the first to finish gives the directory its name.
  const room = mkdtempSync(join(cache, "download-"));
  try {
    process.stderr.write(`fetching Kafka ${version} to ${jars}\n`);
    download(version, room);
    renameUnlessThere(join(room, "jars"), jars);
  } finally {
    rmSync(room, { recursive: true, force: true });
  }
  return jars;
}

function requireJava(): void {
  const { error, stderr } = spawnSync("java", ["-version"], { encoding: "utf8" });
  if (error) throw new Error(`the tests need a real Kafka, and Java is missing (${error.message}); ${install}`);
  const major = Number(stderr.match(/version "(\d+)/)?.[1]);
  if (major < 17) throw new Error(`Kafka needs Java 17, this is ${major}; ${install}`);
}

function download(version: KafkaVersion, room: string): void {
  writeFileSync(join(room, "pom.xml"), pom(version));
  const { error, status, stdout, stderr } = spawnSync(
    "mvn",
    [
      "-q",
      "-B",
      // Two Mavens must not write to one repository at the same time.
      `-Dmaven.repo.local=${join(room, "repository")}`,
      "dependency:copy-dependencies",
      "-DincludeScope=runtime",
      "-DoutputDirectory=jars",
    ],
    { cwd: room, encoding: "utf8" },
  );
  if (error) throw new Error(`the tests need a real Kafka, and Maven is missing (${error.message}); ${install}`);
  if (status !== 0) throw new Error(`Maven could not fetch Kafka ${version}:\n${stdout}${stderr}`);
}

function pom(version: KafkaVersion): string {
  const dependency = (group: string, artifact: string, of: string, more = "") =>
    `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${of}</version>${more}</dependency>`;
  // Two of these on one class path fight over who logs.
  const exclusion = "<exclusion><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId></exclusion>";
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>bruce</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>
<dependencies>
${dependency("org.apache.kafka", "kafka_2.13", version)}
${dependency("org.apache.kafka", "kafka-tools", version, `<exclusions>${exclusion}</exclusions>`)}
${dependency("org.slf4j", "slf4j-simple", "1.7.36")}
</dependencies></project>
`;
}

function renameUnlessThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!existsSync(to)) throw error;
  }
}
