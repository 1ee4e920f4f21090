/** Who gives orders from this machine. */
import { userInfo } from "node:os";

/** The name of the person's account, unless `NEO_AUTHOR` says another. */
export function authorOf(env: { readonly [name: string]: string | undefined }): string {
  return env["NEO_AUTHOR"] || env["SUDO_USER"] || env["USER"] || userInfo().username;
}
