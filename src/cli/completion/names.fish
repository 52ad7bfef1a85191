
# Names of overlays and extensions where one is expected; none for who may not list them.
function __fish_onlay_wants_name -a command more
    set -l words (commandline -opc)
    contains -- -- $words
    and return 1
    argparse -i @SPECS@ -- $words[2..-1] 2>/dev/null
    or return 1
    set -l plain (string match -v -- '-*' $argv)
    test "$plain[1]" = $command
    and test $more = more -o (count $plain) -eq 1
end

function __fish_onlay_wants_extension -a verb
    set -l words (commandline -opc)
    argparse -i @SPECS@ -- $words[2..-1] 2>/dev/null
    or return 1
    set -l plain (string match -v -- '-*' $argv)
    test "$plain[1] $plain[2]" = "ext $verb"
end

function __fish_onlay_listed
    set -l list $argv
    set -l words (commandline -opc)
    argparse -i state= root= -- $words[2..-1] 2>/dev/null
    set -l place
    set -q _flag_state
    and set place --state $_flag_state[-1]
    set -q _flag_root
    and set place $place --root $_flag_root[-1]
    $words[1] $place $list --names 2>/dev/null
end

function __fish_onlay_names
    __fish_onlay_listed list
end

function __fish_onlay_extensions
    __fish_onlay_listed ext list
end

function __fish_onlay_available
    __fish_onlay_listed ext search --offline
end

complete -c onlay -n 'not contains -- -- (commandline -opc)' -f
