
# What stands before the cursor, word by word.
_onlay_typed() {
    typed=("${(@Q)${(z)LBUFFER}}")
    [[ $LBUFFER == *[[:space:]] ]] && typed+=('')
}

# Names of overlays; none for who may not list them.
(( $+functions[_onlay_names] )) ||
_onlay_names() {
    local -a typed
    _onlay_typed
    if (( ${typed[(I)--]} )); then
        _onlay_command
        return
    fi
    _onlay_listed overlays overlay list
}

# Names of extensions, likewise.
(( $+functions[_onlay_extensions] )) ||
_onlay_extensions() {
    _onlay_listed extensions extension ext list
}

# Names of extensions that stores had when they were last asked.
(( $+functions[_onlay_available] )) ||
_onlay_available() {
    _onlay_listed extensions extension ext search --offline
}

(( $+functions[_onlay_available_or_files] )) ||
_onlay_available_or_files() {
    _alternative 'extensions:extension:_onlay_available' 'files:file:_files'
}

(( $+functions[_onlay_extensions_or_files] )) ||
_onlay_extensions_or_files() {
    _alternative 'extensions:extension:_onlay_extensions' 'files:file:_files'
}

# What a command lists: TAG DESCRIPTION COMMAND...
(( $+functions[_onlay_listed] )) ||
_onlay_listed() {
    local -a typed place names expl
    _onlay_typed
    local index option
    for option in --state --root; do
        index=${typed[(I)$option]}
        if (( index )); then
            place+=($option ${~typed[index + 1]})
        elif (( index = ${typed[(I)$option=*]} )); then
            place+=($option ${~${typed[index]#$option=}})
        fi
    done
    names=(${(f)"$(_call_program $1 $service ${(q)place} "${@[3,-1]}" --names 2>/dev/null)"})
    _wanted $1 expl $2 compadd -a names
}

# The command that is to run inside, which comes after '--'.
(( $+functions[_onlay_command] )) ||
_onlay_command() {
    local -a typed
    _onlay_typed
    local index=${typed[(i)--]}
    (( index < $#typed )) || return 1
    words=("${(@)typed[index + 1,-1]}")
    CURRENT=$#words
    _normal
}
