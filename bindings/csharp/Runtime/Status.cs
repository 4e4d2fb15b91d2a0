// Status.cs: what a call of the C interface says, and the exception that it becomes outside the audio thread.
using System;

namespace Rtvoice
{
    /// <summary>What a call came to; <c>rtv_status</c> of the C interface.</summary>
    public enum Status
    {
        /// <summary>It went well.</summary>
        Ok = 0,
        /// <summary>A null argument, an unknown name, a value out of range.</summary>
        Argument = 1,
        /// <summary>A file that cannot be read.</summary>
        File = 2,
        /// <summary>A damaged or unsupported model.</summary>
        Model = 3,
        /// <summary>Out of memory, or over the limits of an engine.</summary>
        Memory = 4,
        /// <summary>More than the largest frame, or not the promised block: the output is silence.</summary>
        FrameSize = 5,
        /// <summary>The new model needs more latency than the engine has.</summary>
        Latency = 6,
        /// <summary>The swap before is still fading in.</summary>
        Busy = 7,
        /// <summary>The library's structs are another version's.</summary>
        StructSize = 8
    }

    /// <summary>A call that failed outside the audio thread. The message names what is wrong and the remedy.</summary>
    public sealed class RtvoiceException : Exception
    {
        /// <summary>The kind of failure.</summary>
        public Status Status { get; private set; }

        internal RtvoiceException(Status status, string message) : base(message) { Status = status; }

        /// <summary>Throws unless <paramref name="status"/> is <see cref="Status.Ok"/>.</summary>
        internal static void Check(Status status)
        {
            if (status == Status.Ok) return;
            string message = Text.Of(NativeMethods.rtv_last_error());
            if (message.Length == 0) message = Text.Of(NativeMethods.rtv_status_string(status));
            throw new RtvoiceException(status, message);
        }
    }
}
