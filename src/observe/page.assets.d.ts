// The status page's files are imported as text, so that the executable carries them.
declare module "*.css" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: a text import is a default import
  export default text;
}
declare module "*.client.js" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: a text import is a default import
  export default text;
}
