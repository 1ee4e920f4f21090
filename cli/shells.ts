/**
 * Completion in shells. Each shell's script asks `neo complete -- WORDS...` for what the last word may be: so that names of nodes,
 * clusters and keys are those that there are now.
 */

/** Shells that are known. */
export const shells = ["bash", "zsh", "fish"] as const;
/** One of them. */
export type Shell = (typeof shells)[number];

/** What a shell is to read. A function of bash is split at "=" and ":" unless it is told not to. */
export const scripts: { readonly [S in Shell]: string } = {
  bash: `# neo: completion for bash
_neo() {
  local words
  words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  mapfile -t COMPREPLY < <(neo complete -- "\${words[@]}" 2>/dev/null)
  [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *= ]] && compopt -o nospace
  return 0
}
complete -o default -F _neo neo
`,
  zsh: `#compdef neo
# neo: completion for zsh
_neo() {
  local -a found
  found=("\${(@f)$(neo complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if (( \${#found} )) && [[ -n \${found[1]} ]]; then compadd -- "\${found[@]}"; else _files; fi
}
if [[ \${funcstack[1]} = _neo ]]; then _neo "$@"; else compdef _neo neo; fi
`,
  fish: `# neo: completion for fish
function __neo_complete
  set -l words (commandline -opc) (commandline -ct)
  neo complete -- $words[2..-1] 2>/dev/null
end
complete -c neo -f -a '(__neo_complete)'
`,
};
